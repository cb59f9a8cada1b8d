"""The gradients of a discrete VAE: one estimate a stochastic layer, and who receives what.

A layer's estimate is of the gradient in the logits of q(b_l|b_{l-1}), and goes back into that
layer's own parameters. Its surrogate sees the hard samples of the layers below it, the relaxed
sample of its own, and relaxed samples of the layers above, drawn through the network from the
relaxed value. The decoder and the prior get the gradient of the cost at the hard sample, for every
estimator: what is compared is the encoder's.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from relax.estimators.formula import Estimate
from relax.estimators.samples import by_sample, first_of, widen
from relax.experiments.vae.model import LayerCost
from relax.numerics.streams import Noise
from relax.relaxations.bernoulli import BERNOULLI


class EncoderEstimate(NamedTuple):
    """Of each stochastic layer, from x upwards: its logits, with their graph, and its estimate.

    Logits and gradients are one an image, [replica, batch, latent]; with K samples of every latent
    the costs are K an image, [replica, K * batch].
    """

    logits: list[Tensor]
    layers: list[Estimate]

    @property
    def cost(self):
        """f at the hard samples, or the objective that the estimate is of."""
        return self.layers[0].cost

    @property
    def gradients(self):
        """By a name for each layer, for the finite check."""
        one = len(self.layers) == 1
        return {
            "gradient" if one else f"gradient of layer {number}": estimate.gradient
            for number, estimate in enumerate(self.layers, 1)
        }


def layer_noise(noise, layers):
    """One `Noise` a stochastic layer, from one whose latents are those of all layers."""
    if layers == 1:
        return [noise]
    us = noise.u.chunk(layers, -1)
    vs = [None] * layers if noise.v is None else noise.v.chunk(layers, -1)
    return [Noise(u, v) for u, v in zip(us, vs, strict=True)]


def encoder_estimate(estimator, surrogates, model, x, noise, direct=True):
    """The `EncoderEstimate` of a minibatch.

    With `direct`, ∂f/∂θ at fixed b is added. Its mean is zero but its variance is not: a surrogate
    that can be a constant absorbs it (it amounts to f + 1), REBAR's can in part, Concrete cannot.
    The exact gradient is given none.

    Args:
        estimator: `Estimator`.
        surrogates: its surrogates, one a stochastic layer.
        model: `DiscreteVAE`.
        x: images, [replica, batch, pixel].
        noise: `Noise` of all layers, [replica, samples * batch, layers x latents].

    Of several samples of one layer the first is what the layers above it are estimated at; each of
    those has its own samples, and each sample its own draws of the layers above.
    """
    noises = layer_noise(noise, len(model.encoders))
    below, context, spent = x, None, None
    all_logits, estimates = [], []
    for layer, surrogate in enumerate(surrogates):
        features = model.features(layer, below)
        context = features if context is None else torch.cat([context, features], -1)
        logits = model.encoders[layer](features)
        above = [noise.u for noise in noises[layer + 1 :]]
        cost = LayerCost(model, layer, below, logits, above, spent)
        drawn = noises[layer], context, model.relaxation
        estimate = estimator.rule(surrogate, cost, logits, *drawn)
        if estimate.weights is not None or (direct and estimator.sampled):
            estimate = estimate.plus(direct_gradient(logits, estimate, model.relaxation))
        if above:
            spent = first_of(cost.spend(estimate.sample), x)
        all_logits.append(logits)
        estimates.append(estimate)
        below = first_of(estimate.sample, x)
    return EncoderEstimate(all_logits, estimates)


def direct_gradient(logits, estimate, relaxation=BERNOULLI):
    """∂f/∂logits at fixed b, through log q: the score, b - E[b], as a mean over the samples.

    Its expectation is zero; it is added because the published estimators carry it. Where the
    objective weighs the samples (`relax.estimators.bound`) it is not zero, and belongs there.
    """
    b, batch = estimate.sample, logits.shape[1]
    score = relaxation.score(widen(logits.detach(), b.shape[1]), b)
    if estimate.weights is not None:
        return by_sample(estimate.weights.unsqueeze(-1) * score, batch).sum(1)
    return score if b.shape[1] == batch else by_sample(score, batch).mean(1)


def set_model_gradients(estimate, parameters):
    """Give the model's parameters their gradients, costs as means over the minibatch.

    The encoder gets the estimates, as they stand, through its logits; the decoder and the prior
    get ∂f(b) at the hard sample.
    """
    batch, costs = estimate.logits[0].shape[-2], estimate.cost.shape[-1]
    gradients = torch.autograd.grad(
        [*estimate.logits, estimate.cost],
        parameters,
        [
            *(layer.gradient.detach() / batch for layer in estimate.layers),
            torch.full_like(estimate.cost, 1 / costs),
        ],
    )
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def network_weights(surrogates: nn.ModuleList):
    """The surrogates' weight matrices (what weight decay acts on), and their other parameters."""
    weights = [p for name, p in surrogates.named_parameters() if name.endswith(".weight")]
    others = [p for name, p in surrogates.named_parameters() if not name.endswith(".weight")]
    return weights, others
