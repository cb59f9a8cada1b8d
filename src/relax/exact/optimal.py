"""The surrogate of least variance in a finite-dimensional class, by linear algebra.

The estimate is linear in the surrogate: for c = Σ_k w_k φ_k,

    g = G + Σ_k w_k H_k,    G = f(b) ∂ log p(b),    H_k = -φ_k(z~) ∂ log p(b) + ∂φ_k(z) - ∂φ_k(z~)

with E[H_k] = 0, so that the total variance Σ_latent Var(g) is quadratic in w,

    Var(G) + 2 w·r + w·A w,    A_kl = Σ_latent E[H_k H_l],    r_k = Σ_latent E[G H_k],

and least where A w = -r. A and r are computed exactly: b is enumerated, the noise integrated by
quadrature. H_k is the one formula itself with the cost 0 and the surrogate φ_k, a replica a k.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import torch

from relax.errors import ConfigError
from relax.estimators.formula import Estimator
from relax.exact.quadrature import centred_lines, exact_moments
from relax.surrogates.base import Surrogate, ZeroSurrogate

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost


def no_cost(b: Tensor) -> Tensor:
    """f = 0, which leaves of the formula what c makes of it."""
    return b.new_zeros(b.shape[:2])


def _pieces(surrogate, cost, logits, noise, nodes, replicas=None):
    """For every b: its probability, E[H|b], the centred lines of H, their weights, and G.

    H and G have the replicas of `logits`; with `replicas` H has so many, all at the one logits.
    """
    formula = Estimator()
    wide = logits if replicas is None else logits.expand(replicas, -1, -1)
    of_h = centred_lines(formula, surrogate, no_cost, wide, noise, nodes)
    of_g = centred_lines(formula, ZeroSurrogate(), cost, logits, noise, nodes)
    for (probability, mean, lines, weights), (_, score_term, _, _) in zip(of_h, of_g, strict=True):
        yield probability, mean, lines, weights, score_term


class ProductBasis(Surrogate):
    """Products over latents of Chebyshev polynomials in 2σ(z) - 1; replica k is function φ_k.

    The first function is the constant 1. Each latent has the degrees 0 ... `degree`.
    """

    def __init__(self, latents: int, degree: int) -> None:
        super().__init__()
        degrees = list(itertools.product(range(degree + 1), repeat=latents))
        self.degrees: Tensor
        self.register_buffer("degrees", torch.tensor(degrees, dtype=torch.float64))

    def __len__(self):
        return len(self.degrees)

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        # T_d(x) = cos(d arccos x) and 2σ(z) - 1 = cos(angle): angle = 2 arctan(e^{-z/2})
        angle = 2 * torch.atan(torch.exp(-z / 2))
        return torch.cos(self.degrees.unsqueeze(1) * angle).prod(-1)


class LinearSurrogate(Surrogate):
    """c(z) = Σ_k w_k φ_k(z), one replica."""

    def __init__(self, basis: ProductBasis, weights: Tensor) -> None:
        super().__init__()
        self.basis = basis
        self.weights: Tensor
        self.register_buffer("weights", weights)

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        functions = self.basis(z.expand(len(self.basis), -1, -1))
        return (self.weights * functions).sum(0, keepdim=True)


class Bound(Surrogate):
    """A surrogate with its own cost bound to it, whatever cost the estimator passes on."""

    def __init__(self, surrogate: Surrogate, cost: Cost) -> None:
        super().__init__()
        self.surrogate, self.cost = surrogate, cost

    def forward(self, z: Tensor, cost: Cost | None = None, context: Tensor | None = None) -> Tensor:
        return self.surrogate(z, self.cost, context)


class BestScale(NamedTuple):
    """For each replica, η* and the total variance it leaves; [replica] each."""

    scale: torch.Tensor
    variance: torch.Tensor


def best_scale(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: str = "independent",
    nodes: int | None = None,
) -> BestScale:
    """η* of c = η c_1 in closed form, for every replica: the draft's equation (3).

    With g = G + η H as at the top of this module, η* = -Σ E[G H] / Σ E[H²] (sums over latents),
    which is -Cov/Var since E[H] = 0, and the least variance is Σ Var(G) - (Σ E[G H])² / Σ E[H²].

    Args:
        surrogate: c_1, the surrogate at η = 1.
        cost: f; c_1 may evaluate it.
        logits: [replica, 1, latent], float64.
    """
    logits = logits.detach()
    square = product = logits.new_zeros(len(logits))
    pieces = _pieces(Bound(surrogate, cost), cost, logits, noise, nodes)
    for probability, mean, lines, weights, score_term in pieces:
        second = mean.square().sum(-1)
        for line in lines:
            second = second + torch.einsum("rnl,n->r", line.square(), weights)
        square = square + probability * second
        product = product + probability * (mean * score_term).sum(-1)
    plain = exact_moments(Estimator(), ZeroSurrogate(), cost, logits, noise, nodes).variance.sum(-1)
    return BestScale(-product / square, plain - product.square() / square)


class LeastVariance(NamedTuple):
    """The best surrogate of a class, and what it reaches; variances are summed over latents."""

    surrogate: LinearSurrogate
    variance: float
    reinforce_variance: float


def least_variance(
    basis: ProductBasis,
    cost: Cost,
    logits: Tensor,
    noise: str = "independent",
    nodes: int | None = None,
) -> LeastVariance:
    """The surrogate of least total variance in the span of `basis`, for one to three latents.

    Args:
        basis: a surrogate whose replica k is the k-th function, with `len`.
        cost: f, any function of b; must not depend on its batch axis.
        logits: [1, 1, latent], float64.
        noise: "independent" or "coupled".
        nodes: quadrature nodes a dimension, as in `exact_moments`.

    Raises:
        ConfigError: more than one replica of logits, or more than three latents.
    """
    if logits.shape[:2] != (1, 1):
        raise ConfigError(f"logits must be [1, 1, latent]; got {list(logits.shape)}")
    a, r = 0.0, 0.0
    pieces = _pieces(basis, cost, logits.detach(), noise, nodes, replicas=len(basis))
    for probability, mean, lines, weights, score_term in pieces:
        moment = mean @ mean.T
        for line in lines:
            flat = (line * weights.sqrt().view(1, -1, 1)).flatten(1)
            moment = moment + flat @ flat.T
        a = a + probability[0] * moment
        r = r + probability[0] * (mean @ score_term[0])
    # Functions that differ little make A nearly singular: the pseudo-inverse leaves those out.
    w = -torch.linalg.pinv(a, rtol=1e-13, hermitian=True) @ r
    surrogate = LinearSurrogate(basis, w.unsqueeze(-1))
    variance, plain = (
        exact_moments(Estimator(), c, cost, logits, noise, nodes).variance.sum().item()
        for c in (surrogate, ZeroSurrogate())
    )
    return LeastVariance(surrogate, variance, plain)
