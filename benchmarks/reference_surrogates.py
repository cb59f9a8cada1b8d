"""The reference's small parts: perceptrons, Bernoulli's log-probability, what surrogates learn."""

import itertools
import math

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


def log_prob(logits, b):
    """log Bernoulli(b; σ(logits)) summed over the last axis, for relaxed b too: [batch]."""
    return -binary_cross_entropy_with_logits(logits, b, reduction="none").sum(-1)


class MLP(nn.Module):
    """A multilayer perceptron, [batch, widths[0]] -> [batch, widths[-1]]."""

    def __init__(self, widths, activation):
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)


class Surrogate(nn.Module):
    """What an estimator learns besides the model, a module a stochastic layer: here nothing.

    Args:
        spec: `SurrogateSpec` of the package; its network sees z as it is (squash false).
        context: features that the network sees besides z.
        latents: number of latents.
    """

    def __init__(self, spec, context, latents):
        super().__init__()

    def observe(self, cost):
        """See the costs [batch] of a step once it is done."""


def _network(spec, inputs):
    return MLP([inputs, *spec.hidden, 1], ACTIVATIONS[spec.activation])


class Rebar(Surrogate):
    """λ (as its logarithm) and η of η f(σ(z/λ))."""

    def __init__(self, spec, context, latents):
        super().__init__(spec, context, latents)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(spec.temperature)))
        self.scale = nn.Parameter(torch.tensor(spec.scale))


class Concrete(Rebar):
    """The same, fixed; η is 1."""

    def __init__(self, spec, context, latents):
        super().__init__(spec, context, latents)
        self.requires_grad_(False)


class Relax(Surrogate):
    """A network of the context and z, with REBAR's λ and η where it is added to that."""

    def __init__(self, spec, context, latents):
        super().__init__(spec, context, latents)
        if spec.squash:
            raise ValueError("the reference's network sees z as it is: set squash to false")
        if spec.add_relaxed_cost:
            self.log_temperature = nn.Parameter(torch.tensor(math.log(spec.temperature)))
            self.scale = nn.Parameter(torch.tensor(spec.scale))
        self.network = _network(spec, context + latents)


class MuProp(Surrogate):
    """The scale η of the expansion."""

    def __init__(self, spec, context, latents):
        super().__init__(spec, context, latents)
        self.scale = nn.Parameter(torch.tensor(spec.scale))


class Nvil(Surrogate):
    """m + s r(context), with the costs' running mean m and standard deviation s >= 1."""

    def __init__(self, spec, context, latents):
        super().__init__(spec, context, latents)
        self.network = _network(spec, context)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.zeros(()))

    def forward(self, context):
        r = self.network(context).squeeze(-1)
        return self.mean + self.variance.sqrt().clamp(min=1) * r

    def observe(self, cost):
        self.mean = 0.8 * self.mean + 0.2 * cost.mean()
        self.variance = 0.8 * self.variance + 0.2 * (cost - self.mean).square().mean()


SURROGATES = {
    "reinforce": Surrogate,
    "concrete": Concrete,
    "rebar": Rebar,
    "relax": Relax,
    "muprop": MuProp,
    "nvil": Nvil,
}
