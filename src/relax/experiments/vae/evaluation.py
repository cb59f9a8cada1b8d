"""How good a discrete VAE is: the ELBO, the importance-weighted bound, and the best model."""

import math

import torch

from relax.numerics.streams import NoiseStream

CHUNK = 500  # images evaluated at once: what stays in the cache is faster


def bounds(model, images, seeds, samples, purpose="evaluation", index=0, copies=1):
    """Bounds on log p(x), means over the images, in nats an image: two tensors [replica].

    With w_k = p(x, b_k) / q(b_k|x) and K hard samples b_k an image, the ELBO is estimated by the
    mean of log w_k, and the importance-weighted bound by log(1/K Σ w_k) (Burda et al., 2016), which
    lies between the ELBO and log p(x).

    Args:
        model: `DiscreteVAE`.
        images: [image, pixel], on the model's device.
        seeds: one a replica.
        samples: K.
        purpose, index: which noise (`relax.numerics.streams.generator`).
        copies: how often the seeds stand in a row on the replica axis.
    """
    layers, latents = len(model.encoders), model.prior_logits.shape[-1]
    chunks = images.split(CHUNK)
    replicas = len(seeds) * copies
    elbo = torch.zeros(replicas, device=images.device)
    bound = torch.zeros_like(elbo)
    with torch.no_grad():
        for part, chunk in enumerate(chunks):
            x = chunk.expand(replicas, -1, -1)
            kind = model.relaxation.noise_type(x.dtype)
            shape = (len(chunk), layers * latents, "coupled", kind)
            draws = NoiseStream(
                seeds, purpose, *shape, block=1, copies=copies, device=images.device
            )
            first = (index * len(chunks) + part) * samples
            logits = model.encode(0, x)
            noises = (draws(first + k).u.chunk(layers, -1) for k in range(samples))
            log_weights = torch.stack([-model.cost(x, logits, noise) for noise in noises])
            elbo += log_weights.mean(0).sum(1)
            bound += (log_weights.logsumexp(0) - math.log(samples)).sum(1)
    return elbo / len(images), bound / len(images)


class BestModel:
    """The model with the best score so far, each replica's own: `state`, `score`, `step`.

    Args:
        model: where it starts.
        like: a tensor [replica] on its device.
    """

    def __init__(self, model, like):
        self.state = {name: t.detach().clone() for name, t in model.state_dict().items()}
        self.score = torch.full_like(like, -torch.inf)
        self.step = torch.zeros_like(like, dtype=torch.int64)

    def see(self, model, score, step):
        """Keep the parameters of the replicas whose score [replica] is a new best."""
        better = score > self.score
        self.score = torch.where(better, score, self.score)
        self.step[better] = step
        for name, parameter in model.named_parameters():
            self.state[name][better] = parameter.detach()[better]

    def load(self, state, score, step):
        """Go back to a saved `state`, `score` and `step`."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
        self.score.copy_(score)
        self.step.copy_(step)

    def put_into(self, model):
        """Give the model the best parameters."""
        model.load_state_dict(self.state)
