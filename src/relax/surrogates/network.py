"""c(z) = r(z, context), a network: RELAX's control variate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.numerics.replicas import StackedMLP
from relax.surrogates.base import Surrogate
from relax.surrogates.closed_forms import network_form
from relax.surrogates.perceptron import ACTIVATIONS
from relax.surrogates.relaxed_cost import Temperature

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Generators, Pair
    from relax.surrogates.base import SurrogateSpec
    from relax.surrogates.closed_forms import ClosedForm


class Network(Surrogate):
    """c(z) = r(z, context), a multilayer perceptron; it never evaluates the cost."""

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        replicas = len(generators)
        self.activation = ACTIVATIONS[spec.activation]
        self.temperature = Temperature(spec, replicas, learn=True) if spec.squash else None
        widths = [spec.context + spec.latents, *spec.hidden, 1]
        self.layers = StackedMLP(widths, generators, spec.dtype).layers

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        h = z if self.temperature is None else 2 * self.temperature(z) - 1
        h = h if context is None else torch.cat([context, h], -1)
        *hidden, last = self.layers
        for layer in hidden:
            h = self.activation.function(layer(h))
        return last(h).squeeze(-1)

    def value_and_slope(
        self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None
    ) -> Pair:
        """r and ∂r/∂z, with their derivatives in φ in closed form."""
        if form := self.closed_form(z, cost, context):
            return form.value_and_slope()
        assert self.temperature is not None  # else there is a closed form
        relaxed, to_z = self.temperature.relaxed(z)
        h = 2 * relaxed - 1
        form = network_form(self.layers, self.activation, h, context)
        value, slope = form.value_and_slope()
        return value, to_z(2 * slope)

    def closed_form(
        self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None
    ) -> ClosedForm | None:
        if self.temperature is None:
            return network_form(self.layers, self.activation, z, context)
        return None
