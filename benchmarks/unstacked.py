"""The package's step on `linear1` without the replica axis, to see what the axis costs.

For REINFORCE, REBAR and RELAX with coupled noise, on tensors [batch, width] where the package has
[replica, batch, width]. It is the package's own code but for the lines that know how many axes
there are: those are written again here, `bmm` as `mm` and so on, under the names of what they
replace. `tests/unit/test_benchmarks.py` holds the two to the same results.
"""

import copy
from contextlib import contextmanager

import torch
from torch import nn
from torch.autograd import Function

from relax.estimators.learning import learn_surrogates
from relax.experiments.vae import error as vae_error
from relax.experiments.vae import gradients as vae_gradients
from relax.experiments.vae import model as vae
from relax.experiments.vae.gradients import encoder_estimate, set_model_gradients
from relax.experiments.vae.trainer import surrogate_groups
from relax.numerics import replicas
from relax.numerics.finite import Divergence
from relax.numerics.optimizers import adam
from relax.numerics.products import is_large, leaves_tape, one
from relax.surrogates import base, network, perceptron
from relax.surrogates.closed_forms import network_form


def affine(bias, h, weight):
    if not is_large(h, weight.shape[-1]):
        return torch.addmm(bias, h, weight)
    if leaves_tape(bias, h, weight):
        return _Affine.apply(bias, h, weight)
    return one(h, weight.T, bias.view(-1))


def up(h, weight):
    return one(h, weight.T) if is_large(h, weight.shape[-1]) else torch.mm(h, weight)


def down(d, weight):
    return one(d, weight) if is_large(d, weight.shape[-2]) else torch.mm(d, weight.T)


def in_weight(h, d):
    return one(h.T, d.T) if is_large(h, d.shape[-1]) else torch.mm(h.T, d)


class _Affine(Function):
    @staticmethod
    def forward(ctx, bias, h, weight):
        ctx.save_for_backward(h, weight)
        return one(h, weight.T, bias.view(-1))

    @staticmethod
    def backward(ctx, d):
        h, weight = ctx.saved_tensors
        of_bias, of_h, of_weight = ctx.needs_input_grad
        return (
            d.sum(0, keepdim=True) if of_bias else None,
            down(d, weight) if of_h else None,
            in_weight(h, d) if of_weight else None,
        )


class StackedLinear(replicas.StackedLinear):
    def forward(self, x):
        return affine(self.bias, x, self.weight)


class Perceptron(perceptron.Perceptron):
    _affine = staticmethod(affine)

    def _in_parameters(self, k, g, tangent, e):
        h, delta = self.h[k], self.deltas[k]
        if h.shape == tangent.shape:
            factor = torch.addcmul(tangent, g, h)
        else:
            factor = g * h
            factor[..., -self.latents :].add_(tangent)
        if delta is None:
            return factor.sum(0).unsqueeze(-1), g.sum(0, keepdim=True)
        of_weight = in_weight(factor, delta)
        of_bias = torch.mm(g.T, delta)
        if e is not None:
            of_weight.addmm_(h.T, e)
            of_bias += e.sum(0, keepdim=True)
        return of_weight, of_bias

    def _up(self, tangent, k):
        return up(tangent, self.weights[k])

    def _down(self, slope, k):
        return self.weights[k].mT if slope is None else down(slope, self.weights[k])


class LinearError(vae_error.LinearError):
    _affine, _down = staticmethod(affine), staticmethod(down)
    _in_weight = staticmethod(in_weight)


class DiscreteVAE(vae.DiscreteVAE):
    def error_at(self, layer, value, below, beside=None, along=None):
        (linear,) = self.decoders[layer].layers
        return LinearError(linear.weight, linear.bias, below, value, beside, along)


class ZeroSurrogate(base.ZeroSurrogate):
    def forward(self, z, cost, context=None):
        return z.new_zeros(z.shape[:1])


class Network(network.Network):
    def closed_form(self, z, cost=None, context=None):
        return network_form(self.layers, self.activation, z, context, Perceptron)


@contextmanager
def one_sample():
    """Several samples ride on the batch axis, which is found by its place; of one there is none."""
    places = [(vae, "widen"), (vae_gradients, "widen"), (vae_gradients, "first_of")]
    kept = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, lambda tensor, _: tensor)
    try:
        yield
    finally:
        for (module, name), function in zip(places, kept, strict=True):
            setattr(module, name, function)


REPLACED = (StackedLinear, DiscreteVAE, ZeroSurrogate, Network)


def without_axis(module):
    """A copy of a module of the package, of one replica, whose parameters lack the first axis."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            plain = parameter.detach()[0].clone()
            setattr(part, name, nn.Parameter(plain, requires_grad=parameter.requires_grad))
        for replacement in REPLACED:
            if type(part) is replacement.__base__:
                part.__class__ = replacement
    return module


class Unstacked:
    """A run of `linear1` for one seed, from the parameters of a package's `Trainer`."""

    def __init__(self, trainer):
        settings = trainer.settings
        self.estimator = trainer.estimator
        self.model, self.surrogates = map(without_axis, (trainer.model, trainer.surrogates))
        self.learned = nn.ModuleDict({"model": self.model, "surrogates": self.surrogates})
        model = (self.model.parameters(), settings.learning_rate)
        groups = [model, *surrogate_groups(settings, self.surrogates)]
        self.optimizer = adam(groups, settings.adam_beta2)
        self.parameters = list(self.model.parameters())
        self.divergence = Divergence(1)

    def step(self, step, x, noise):
        """One update; the costs [batch].

        Args:
            step: its number, noted where a number is not finite.
            x: images, [batch, pixel].
            noise: `Noise`, coupled, [batch, latent].
        """
        with one_sample():
            estimate = encoder_estimate(self.estimator, self.surrogates, self.model, x, noise)
        self.divergence.now.fill_(step)
        self.divergence.note(estimate.cost, *estimate.gradients.values())
        learn_surrogates(self.estimator, self.surrogates, estimate.layers)
        set_model_gradients(estimate, self.parameters)
        self.optimizer.step()
        return estimate.cost.detach()
