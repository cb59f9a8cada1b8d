"""The generalised reparameterization gradient and its recursion: paths for f, and for c.

A path (h, s) of `relax.relaxations.transformations` gives an unbiased gradient of E[F(z)],

    F(h, s) = F'(z) h + F(z) s.

Any two paths give the same mean, so that their difference, for any c, is a control variate:

    g = f(path of the cost) - c(path removed) + c(path returned)

is unbiased for every c and for every three paths. That is the one formula of `formula.py`, with
names for its paths; docs/reparameterization.md has the proof and derives the others from it.

| name | cost | removed | returned | |
| --- | --- | --- | --- | --- |
| `score_function` | score | | | f ∂ log q |
| `generalised` | transformation | | | f' h + f s (Ruiz et al., 2016) |
| `implicit` | implicit | | | f' h_implicit (Figurnov et al., 2018) |
| `recursive` | transformation | transformation | implicit | f' h + [f-c] s + c' (h_implicit - h) |
| `lax` | score | score | implicit | [f-c] ∂ log q + c' h_implicit (Grathwohl et al., 2018) |
| `implicit_lax` | implicit | score | implicit | f' h_implicit - c ∂ log q + c' h_implicit |
| `score_recursive` | score | transformation | implicit | f ∂ log q - c s + c' (h_implicit - h) |

`recursive` with c = 0 is `generalised`, with c = f it is `implicit`. On `ThresholdedLogistic`, with
the cost f(H(z)), it is REBAR or RELAX with coupled noise, by what c is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from relax.numerics.checks import evaluate, named
from relax.surrogates.base import ZeroSurrogate
from relax.surrogates.closed_forms import differentiate

if TYPE_CHECKING:
    from relax.numerics.signatures import Cost, Pair
    from relax.relaxations.transformations import Drawn
    from relax.surrogates.base import Surrogate


class Decomposition(NamedTuple):
    """The names of three paths: the cost's, and those that c leaves and takes."""

    cost: str
    removed: str | None = None
    returned: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of those that are needed."""
        return tuple(dict.fromkeys(path for path in self if path))

    @property
    def differentiates(self) -> bool:
        """Whether the cost must be differentiable."""
        return self.cost != "score"


DECOMPOSITIONS = {
    "score_function": Decomposition("score"),
    "generalised": Decomposition("transformation"),
    "implicit": Decomposition("implicit"),
    "recursive": Decomposition("transformation", "transformation", "implicit"),
    "lax": Decomposition("score", "score", "implicit"),
    "implicit_lax": Decomposition("implicit", "score", "implicit"),
    "score_recursive": Decomposition("score", "transformation", "implicit"),
}


class PathEstimate(NamedTuple):
    """An estimate, and the terms that it is the sum of."""

    cost: Tensor  # f(z): [replica, batch]
    gradient: Tensor  # estimate of dE[f]/dν, a sample: [replica, batch, P * latent]
    reparameterization: Tensor  # f' h: like the gradient
    correction: Tensor  # f s less c s of the path removed: like the gradient
    recursion: Tensor  # c' (h of the path returned, less that of the path removed)


def path_estimate(
    name: str,
    drawn: Drawn,
    cost: Cost,
    surrogate: Surrogate | None = None,
    context: Tensor | None = None,
) -> PathEstimate:
    """An estimate of dE[f(z)]/dν by one of the `DECOMPOSITIONS`, with its terms apart.

    Unbiased for every c of z; what c depends on besides (the parameters, a context) counts as a
    constant. Where grad mode is on, the gradient has a graph to c's parameters φ.

    Args:
        name: out of `DECOMPOSITIONS`.
        drawn: samples with at least the paths that it needs, `Transformation.draw`.
        cost: f, [replica, batch, latent] -> [replica, batch]; differentiated where the cost's path
            is not the score.
        surrogate: c, a `Surrogate`; None: c = 0.
        context: what c may see besides z, [replica, batch, feature].

    Raises:
        ArgumentError: an unknown name, a path that was not drawn, a cost whose value has another
            shape, or one that cannot be differentiated and must be.
    """
    kind = DECOMPOSITIONS[named("the estimator", name, DECOMPOSITIONS)]
    for path in kind.paths:
        named(f"a path that {name} needs", path, drawn.paths)
    z, paths = drawn.z.detach(), drawn.paths
    h, s = paths[kind.cost]
    if kind.differentiates:
        f, slope = cost_and_slope(name, cost, z)
        reparameterization = _wide(slope, h) * h
    else:
        f = evaluate(cost, z).detach()
        reparameterization = torch.zeros_like(h)
    correction, recursion = f.unsqueeze(-1) * s, torch.zeros_like(h)
    if isinstance(surrogate, ZeroSurrogate):
        surrogate = None
    if kind.removed and kind.returned and surrogate is not None:
        removed, returned = paths[kind.removed], paths[kind.returned]
        c, of_c = surrogate.value_and_slope(z, cost, context)
        correction = correction - c.unsqueeze(-1) * (removed.weight - returned.weight)
        recursion = _wide(of_c, h) * (returned.slope - removed.slope)
    gradient = reparameterization + correction + recursion
    return PathEstimate(f, gradient, reparameterization, correction, recursion)


def cost_and_slope(name: str, cost: Cost, z: Tensor) -> Pair:
    """f and f', neither with a graph.

    Raises:
        ArgumentError: f cannot be differentiated.
    """
    without = [other for other, kind in DECOMPOSITIONS.items() if not kind.differentiates]
    refusal = (
        f"{name} differentiates the cost, and this one has no gradient in z; "
        f"{', '.join(without)} do without"
    )
    with torch.no_grad():
        f, slope = differentiate(lambda value: evaluate(cost, value), z, refusal)
    return f.detach(), slope.detach()


def _wide(slope, h):
    """A slope in z, once for each of the P parameters of a latent."""
    return slope.repeat(1, 1, h.shape[-1] // slope.shape[-1])
