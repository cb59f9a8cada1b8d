"""Surrogates c(z): the control variates, as modules stacked by replica.

A surrogate maps z [replica, batch, latent] to c [replica, batch], and gives its slope ∂c/∂z with
it. Both depend differentiably on the surrogate's parameters φ where grad mode is on.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from relax.errors import ArgumentError
from relax.numerics import checks
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.relaxation import Relaxation
from relax.surrogates.closed_forms import differentiate, sum_form
from relax.surrogates.perceptron import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from torch import Tensor

    from relax.numerics.signatures import Cost, Pair
    from relax.surrogates.closed_forms import ClosedForm


NO_SLOPE_OF_C = (
    "c cannot be differentiated in z, through itself or through a cost in it; a surrogate that "
    "does not contain z writes its own value_and_slope"
)


@dataclass(frozen=True)
class SurrogateSpec:
    """What a surrogate needs to know about its problem.

    Attributes:
        latents: number of latents; of categorical variables, variables x outcomes.
        context: number of features that the network sees besides z.
        hidden: widths of the network's hidden layers.
        activation: the name of one of `relax.surrogates.perceptron.ACTIVATIONS`.
        squash: the network sees 2σ(z/λ) - 1, with λ learned, instead of z.
        add_relaxed_cost: RELAX adds its network to REBAR's η f(σ(z/λ)).
        temperature: λ at the start (for Concrete: throughout).
        scale: η at the start.
        samples: K, of the estimators that take several samples of a latent.
        draws: of z given b behind one estimate of Gumbel-Rao.
        dtype: torch.float32 or torch.float64, that of the logits.
        relaxation: what the latents are, where σ(z/λ) comes from (categorical: softmax(z/λ)).

    Raises:
        ArgumentError: a number, name or type that is not allowed.
    """

    latents: int = 1
    context: int = 0
    hidden: Sequence[int] = (10,)
    activation: str = "tanh"
    squash: bool = True
    add_relaxed_cost: bool = False
    temperature: float = 0.5
    scale: float = 1.0
    samples: int = 2
    draws: int = 10
    dtype: torch.dtype = torch.float64
    relaxation: Relaxation = BERNOULLI

    def __post_init__(self):
        if not isinstance(self.relaxation, Relaxation):
            raise ArgumentError(
                f"relaxation must be one of relax's, as relax.Bernoulli(); got {self.relaxation!r}"
            )
        for name, least in (("latents", 1), ("context", 0), ("samples", 1), ("draws", 1)):
            checks.count(name, getattr(self, name), least)
        if not isinstance(self.hidden, tuple | list):
            raise ArgumentError(
                f"hidden must be the widths of the hidden layers, as (100,); got {self.hidden!r}"
            )
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for width in self.hidden:
            checks.count("a width in hidden", width)
        checks.named("activation", self.activation, tuple(ACTIVATIONS))
        checks.number("temperature", self.temperature, above=0)
        checks.number("scale", self.scale)
        checks.float_type("dtype", self.dtype)
        if hasattr(self.relaxation, "variables"):
            self.relaxation.check_width(self.latents)


class Surrogate(nn.Module):
    """Base of the surrogates; `forward(z, cost, context)` -> c is the subclass's."""

    def observe(self, cost: Tensor) -> None:
        """See the costs f(b) [replica, batch] of a step, once its estimate is made.

        For running statistics; what they change takes effect from the next step on, so that c
        never depends on the sample that it corrects.
        """

    def learned_parameters(self) -> list[nn.Parameter]:
        """φ: what the estimator's objective is to descend in."""
        return [p for held, name in self._places if (p := held[name]).requires_grad]

    @functools.cached_property
    def _places(self):
        # Where each parameter is held, found once: walking the modules at every step would cost
        # more than a small product. What is held there may be exchanged, as by
        # load_state_dict(assign=True) and torch.func.functional_call.
        held: dict[int, tuple[dict[str, Any], str]] = {}
        for module in self.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    held.setdefault(id(parameter), (module._parameters, name))
        return list(held.values())

    def value_and_slope(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Pair:
        """c(z) [replica, batch] and ∂c/∂z [replica, batch, latent].

        The slope carries a graph (for ∂φ g²) only where the caller's grad mode is on.
        """
        z = z.detach().requires_grad_(torch.is_grad_enabled())
        return differentiate(lambda z: self(z, cost, context), z, NO_SLOPE_OF_C)

    def closed_form(
        self, z: Tensor, cost: Cost, context: Tensor | None = None
    ) -> ClosedForm | None:
        """c and its slope as a `closed_forms.ClosedForm`, or None where there is none."""
        return None


class ZeroSurrogate(Surrogate):
    """c = 0: the control variate of REINFORCE."""

    def forward(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Tensor:
        return z.new_zeros(z.shape[:2])

    def value_and_slope(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Pair:
        return self(z, cost), torch.zeros_like(z)


class Sum(Surrogate):
    """The sum of surrogates."""

    if TYPE_CHECKING:  # a ModuleList, which does not say of what
        parts: Any

    def __init__(self, *parts: Surrogate) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Tensor:
        return sum(part(z, cost, context) for part in self.parts)

    def value_and_slope(self, z: Tensor, cost: Cost, context: Tensor | None = None) -> Pair:
        if form := self.closed_form(z, cost, context):
            return form.value_and_slope()
        pairs = [part.value_and_slope(z, cost, context) for part in self.parts]
        values, slopes = zip(*pairs, strict=True)
        return functools.reduce(torch.add, values), functools.reduce(torch.add, slopes)

    def closed_form(
        self, z: Tensor, cost: Cost, context: Tensor | None = None
    ) -> ClosedForm | None:
        forms = [part.closed_form(z, cost, context) for part in self.parts]
        return functools.reduce(sum_form, forms) if all(forms) else None

    def observe(self, cost: Tensor) -> None:
        for part in self.parts:
            part.observe(cost)

    def learned_parameters(self) -> list[nn.Parameter]:
        return [p for part in self.parts for p in part.learned_parameters()]
