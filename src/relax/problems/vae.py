"""The discrete VAE (draft 4.2): one layer of Bernoulli latents, linear maps (`linear1`).

    q(b|x) = Bernoulli(σ(W (x - mean) + w)),  p(x|b) = Bernoulli(σ(V (2b - 1) + v)),  learned p(b)

The cost is the negative single-sample ELBO, f(b) = log q(b|x) - log p(b) - log p(x|b), in nats.
Latents enter every map as 2b - 1, in {-1, 1}. All parameters are stacked by replica.
"""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from relax.relaxations import BERNOULLI
from relax.replicas import StackedLinear


def bernoulli_log_prob(logits, b):
    """log Bernoulli(b; σ(logits)) summed over the last axis; extends linearly to relaxed b."""
    return (b * logits - softplus(logits)).sum(-1)


class LinearVAE(nn.Module):
    """`linear1`: encoder and decoder are one linear layer each.

    Args:
        pixel_mean: mean training image, [pixel], in [0, 1].
        latents: number of latents.
        generators: one random generator a replica.
    """

    def __init__(self, pixel_mean, latents, generators):
        super().__init__()
        pixels = len(pixel_mean)
        self.register_buffer("pixel_mean", pixel_mean.clone())
        self.encoder = StackedLinear(pixels, latents, generators, pixel_mean.dtype)
        self.decoder = StackedLinear(latents, pixels, generators, pixel_mean.dtype)
        self.prior_logits = nn.Parameter(pixel_mean.new_zeros(len(generators), 1, latents))
        with torch.no_grad():
            # The clamp keeps the logit of a pixel that is never on finite.
            self.decoder.bias += torch.logit(pixel_mean.clamp(1e-3, 1 - 1e-3))

    def center(self, x):
        """The encoder's input, x - mean: [replica, batch, pixel]."""
        return x - self.pixel_mean

    def encode(self, centered):
        """Logits of q(b|x): [replica, batch, pixel] -> [replica, batch, latent]."""
        return self.encoder(centered)

    def cost(self, x, logits):
        """f, the negative ELBO as a function of b; `logits` of q(b|x) count as constants in it."""
        logits = logits.detach()

        def negative_elbo(b):
            pixels = self.decoder(2 * b - 1)
            reconstruction = binary_cross_entropy_with_logits(pixels, x, reduction="none").sum(-1)
            prior = bernoulli_log_prob(self.prior_logits, b)
            return reconstruction - prior + bernoulli_log_prob(logits, b)

        return negative_elbo


def direct_gradient(logits, b):
    """∂f/∂logits at fixed b, through log q(b|x): the score, b - σ(logits).

    Its expectation is zero; it is added because the published estimators carry it.
    """
    return BERNOULLI.score(logits.detach(), b)


MODELS = {"linear1": LinearVAE}
