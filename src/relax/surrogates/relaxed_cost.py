"""c(z) = η f(σ(z/λ)), the cost at a relaxed sample: REBAR's control variate, and Concrete's f."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from relax.relaxations.bernoulli import Bernoulli
from relax.surrogates.base import Surrogate
from relax.surrogates.closed_forms import differentiate, relaxed_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from relax.numerics.signatures import Cost, Pair
    from relax.surrogates.base import SurrogateSpec
    from relax.surrogates.closed_forms import ClosedForm


class Temperature(nn.Module):
    """λ > 0, one a replica, kept as its logarithm so that learning cannot make it negative."""

    def __init__(self, spec: SurrogateSpec, replicas: int, learn: bool) -> None:
        super().__init__()
        self.relaxation = spec.relaxation
        log_value = torch.full((replicas, 1, 1), spec.temperature, dtype=spec.dtype).log()
        self.log_temperature = nn.Parameter(log_value, requires_grad=learn)

    def inverse(self) -> Tensor:
        """1/λ: [replica, 1, 1]."""
        return torch.exp(-self.log_temperature)

    def forward(self, z: Tensor) -> Tensor:
        """σ(z/λ), or what stands for it in another relaxation."""
        return self.relaxation.relax(z, self.inverse())

    def relaxed(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """σ(z/λ), and the function that takes a slope in it to one in z."""
        return self.relaxation.relaxed(z, self.inverse())


class RelaxedCost(Surrogate):
    """c(z) = η f(σ(z/λ)), the cost at a relaxed sample; η and λ one a replica."""

    def __init__(self, spec: SurrogateSpec, replicas: int, learn: bool = True) -> None:
        super().__init__()
        self.temperature = Temperature(spec, replicas, learn)
        scale = torch.full((replicas, 1), spec.scale if learn else 1.0, dtype=spec.dtype)
        self.scale = nn.Parameter(scale, requires_grad=learn)

    def relaxed_cost(self, z: Tensor, cost: Cost) -> Tensor:
        """f(σ(z/λ)), without the scale: [replica, batch]."""
        return cost(self.temperature(z))

    def forward(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Tensor:
        return self.scale * self.relaxed_cost(z, cost)

    def value_and_slope(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Pair:
        """c and ∂c/∂z = η ∂f/∂y ∂y/∂z, with y = σ(z/λ)."""
        if form := self.closed_form(z, cost):
            return form.value_and_slope()
        value, to_z = self.temperature.relaxed(z)
        f, slope = differentiate(cost, value)
        return self.scale * f, to_z(self.scale.unsqueeze(-1) * slope)

    def closed_form(
        self, z: Tensor, cost: Cost, context: Tensor | None = None
    ) -> ClosedForm | None:
        """By the cost's own method `relaxed`, where it has one (see `relaxed_form`).

        It is for Bernoulli latents. A cost with stochastic layers behind b must have it, and draw
        them relaxed as well, at the same temperature.
        """
        if hasattr(cost, "relaxed") and type(self.temperature.relaxation) is Bernoulli:
            return relaxed_form(cost.relaxed, z, self.temperature.log_temperature, self.scale)
        return None
