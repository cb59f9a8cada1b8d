"""Surrogates c(z): the control variates, as modules stacked by replica.

A surrogate maps z [replica, batch, latent] to c [replica, batch], and gives its slope ∂c/∂z with
it. Both depend differentiably on the surrogate's parameters φ where grad mode is on.
"""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from relax.closed_forms import differentiate, network_form, relaxed_form, sum_form
from relax.perceptron import ACTIVATIONS
from relax.relaxations import BERNOULLI, Bernoulli, Relaxation
from relax.replicas import StackedMLP


@dataclass(frozen=True)
class SurrogateSpec:
    """What a surrogate needs to know about its problem.

    Attributes:
        latents: number of latents; of a categorical variable, of outcomes.
        context: number of features that the network sees besides z.
        hidden: widths of the network's hidden layers.
        activation: "tanh", "relu" or "elu".
        squash: the network sees 2σ(z/λ) - 1, with λ learned, instead of z.
        add_relaxed_cost: RELAX adds its network to REBAR's η f(σ(z/λ)).
        temperature: λ at the start (for Concrete: throughout).
        scale: η at the start.
        relaxation: what the latents are, where σ(z/λ) comes from (categorical: softmax(z/λ)).
    """

    latents: int = 1
    context: int = 0
    hidden: tuple[int, ...] = (10,)
    activation: str = "tanh"
    squash: bool = True
    add_relaxed_cost: bool = False
    temperature: float = 0.5
    scale: float = 1.0
    dtype: torch.dtype = torch.float64
    relaxation: Relaxation = BERNOULLI


class Surrogate(nn.Module):
    """Base of the surrogates; `forward(z, cost, context)` -> c is the subclass's."""

    def observe(self, cost):
        """See the costs f(b) [replica, batch] of a step, once its estimate is made.

        For running statistics; what they change takes effect from the next step on, so that c
        never depends on the sample that it corrects.
        """

    def learned_parameters(self):
        """φ: what the estimator's objective is to descend in."""
        return list(self._learned)

    @functools.cached_property
    def _learned(self):
        # Found once: walking the modules at every step would cost more than a small product.
        return [p for p in self.parameters() if p.requires_grad]

    def value_and_slope(self, z, cost, context=None):
        """c(z) [replica, batch] and ∂c/∂z [replica, batch, latent].

        The slope carries a graph (for ∂φ g²) only where the caller's grad mode is on.
        """
        z = z.detach().requires_grad_(torch.is_grad_enabled())
        return differentiate(lambda z: self(z, cost, context), z)

    def closed_form(self, z, cost, context=None):
        """c and its slope as a `relax.closed_forms.ClosedForm`, or None where there is none."""
        return None


class ZeroSurrogate(Surrogate):
    """c = 0: the control variate of REINFORCE."""

    def forward(self, z, cost, context=None):
        return z.new_zeros(z.shape[:2])

    def value_and_slope(self, z, cost, context=None):
        return self(z, cost), torch.zeros_like(z)


class _Temperature(nn.Module):
    """λ > 0, one a replica, kept as its logarithm so that learning cannot make it negative."""

    def __init__(self, spec, replicas, learn):
        super().__init__()
        self.relaxation = spec.relaxation
        log_value = torch.full((replicas, 1, 1), spec.temperature, dtype=spec.dtype).log()
        self.log_temperature = nn.Parameter(log_value, requires_grad=learn)

    def inverse(self):
        """1/λ: [replica, 1, 1]."""
        return torch.exp(-self.log_temperature)

    def forward(self, z):
        """σ(z/λ), or what stands for it in another relaxation."""
        return self.relaxation.relax(z, self.inverse())

    def relaxed(self, z):
        """σ(z/λ), and the function that takes a slope in it to one in z."""
        inverse = self.inverse()
        value = self.relaxation.relax(z, inverse)
        return value, self.relaxation.relax_derivative(value, inverse)


class RelaxedCost(Surrogate):
    """c(z) = η f(σ(z/λ)), the cost at a relaxed sample; η and λ one a replica."""

    def __init__(self, spec, replicas, learn=True):
        super().__init__()
        self.temperature = _Temperature(spec, replicas, learn)
        scale = torch.full((replicas, 1), spec.scale if learn else 1.0, dtype=spec.dtype)
        self.scale = nn.Parameter(scale, requires_grad=learn)

    def relaxed_cost(self, z, cost):
        """f(σ(z/λ)), without the scale: [replica, batch]."""
        return cost(self.temperature(z))

    def forward(self, z, cost, context=None):
        return self.scale * self.relaxed_cost(z, cost)

    def value_and_slope(self, z, cost, context=None):
        """c and ∂c/∂z = η ∂f/∂y ∂y/∂z, with y = σ(z/λ)."""
        if form := self.closed_form(z, cost):
            return form.value_and_slope()
        value, to_z = self.temperature.relaxed(z)
        f, slope = differentiate(cost, value)
        return self.scale * f, to_z(self.scale.unsqueeze(-1) * slope)

    def closed_form(self, z, cost, context=None):
        """By the cost's own method `relaxed`, where it has one (see `relaxed_form`).

        It is for Bernoulli latents. A cost with stochastic layers behind b must have it, and draw
        them relaxed as well, at the same temperature.
        """
        if hasattr(cost, "relaxed") and type(self.temperature.relaxation) is Bernoulli:
            return relaxed_form(cost.relaxed, z, self.temperature.log_temperature, self.scale)
        return None


class Network(Surrogate):
    """c(z) = r(z, context), a multilayer perceptron; it never evaluates the cost."""

    def __init__(self, spec, generators):
        super().__init__()
        replicas = len(generators)
        self.activation = ACTIVATIONS[spec.activation]
        self.temperature = _Temperature(spec, replicas, learn=True) if spec.squash else None
        widths = [spec.context + spec.latents, *spec.hidden, 1]
        self.layers = StackedMLP(widths, generators, spec.dtype).layers

    def forward(self, z, cost=None, context=None):
        h = z if self.temperature is None else 2 * self.temperature(z) - 1
        h = h if context is None else torch.cat([context, h], -1)
        *hidden, last = self.layers
        for layer in hidden:
            h = self.activation.function(layer(h))
        return last(h).squeeze(-1)

    def value_and_slope(self, z, cost=None, context=None):
        """r and ∂r/∂z, with their derivatives in φ in closed form."""
        if form := self.closed_form(z, cost, context):
            return form.value_and_slope()
        relaxed, to_z = self.temperature.relaxed(z)
        h = 2 * relaxed - 1
        form = network_form(self.layers, self.activation, h, context)
        value, slope = form.value_and_slope()
        return value, to_z(2 * slope)

    def closed_form(self, z, cost=None, context=None):
        if self.temperature is None:
            return network_form(self.layers, self.activation, z, context)
        return None


class Baseline(Surrogate):
    """c = m + s r(context), free of z: a multilayer perceptron in units of the cost's spread.

    m is the running mean of the costs and s their running standard deviation, or 1 where that is
    less; both forget at the rate 1 - 0.8 a step (Mnih & Gregor, 2014). Without context r is a
    learned constant.
    """

    MEMORY = 0.8

    def __init__(self, spec, generators):
        super().__init__()
        replicas, dtype = len(generators), spec.dtype
        activation = ACTIVATIONS[spec.activation].function
        widths = [spec.context, *spec.hidden, 1]
        self.network = StackedMLP(widths, generators, dtype, activation) if spec.context else None
        if self.network is None:
            self.constant = nn.Parameter(torch.zeros(replicas, 1, dtype=dtype))
        self.register_buffer("mean", torch.zeros(replicas, 1, dtype=dtype))
        self.register_buffer("variance", torch.zeros(replicas, 1, dtype=dtype))

    def forward(self, z, cost=None, context=None):
        r = self.constant if self.network is None else self.network(context).squeeze(-1)
        return (self.mean + self.variance.sqrt().clamp(min=1) * r).expand(z.shape[:2])

    def value_and_slope(self, z, cost=None, context=None):
        return self(z, cost, context), torch.zeros_like(z)

    def observe(self, cost):
        with torch.no_grad():
            # In place: the replicas' statistics are buffers, saved with every checkpoint.
            self.mean.lerp_(cost.mean(1, keepdim=True), 1 - self.MEMORY)
            spread = (cost - self.mean).square().mean(1, keepdim=True)
            self.variance.lerp_(spread, 1 - self.MEMORY)


class ValueFunction(Surrogate):
    """c = V(context), free of z: a multilayer perceptron that predicts the cost.

    It is learned by regression on the costs (`error`), not through the estimator: as part of a sum
    it is a constant to the others' objective.
    """

    def __init__(self, spec, generators):
        super().__init__()
        activation = ACTIVATIONS[spec.activation].function
        widths = [spec.context, *spec.hidden, 1]
        self.network = StackedMLP(widths, generators, spec.dtype, activation)

    def forward(self, z, cost=None, context=None):
        return self.network(context).squeeze(-1).detach()

    def value_and_slope(self, z, cost=None, context=None):
        return self(z, cost, context), torch.zeros_like(z)

    def learned_parameters(self):
        return []

    def error(self, context, cost, weight):
        """Mean of [f - V]² where the weight is 1: [replica]."""
        errors = (cost - self.network(context).squeeze(-1)).square() * weight
        return errors.sum(1) / weight.sum(1).clamp(min=1)


class Sum(Surrogate):
    """The sum of surrogates."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, z, cost, context=None):
        return sum(part(z, cost, context) for part in self.parts)

    def value_and_slope(self, z, cost, context=None):
        if form := self.closed_form(z, cost, context):
            return form.value_and_slope()
        pairs = [part.value_and_slope(z, cost, context) for part in self.parts]
        values, slopes = zip(*pairs, strict=True)
        return functools.reduce(torch.add, values), functools.reduce(torch.add, slopes)

    def closed_form(self, z, cost, context=None):
        forms = [part.closed_form(z, cost, context) for part in self.parts]
        return functools.reduce(sum_form, forms) if all(forms) else None

    def observe(self, cost):
        for part in self.parts:
            part.observe(cost)

    def learned_parameters(self):
        return [p for part in self.parts for p in part.learned_parameters()]
