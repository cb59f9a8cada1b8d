"""The multi-sample bound (Burda et al., 2016) as an objective of its own.

With K samples and w_k = e^{-f(b_k)} (of a VAE p(x, b_k) / q(b_k|x)),

    L̂ = log mean_k w_k,      E[L̂] ≤ log p(x),

and the cost to be minimised is -L̂, a function of K latents side by side. An estimator of one
sample estimates its gradient as that of any other cost: `on_bound` gives it K copies of the logits,
and adds up what it returns for them, since they are the same. REINFORCE is -L̂ Σ_k ∂ log p(b_k).

The derivative of -L̂ in f(b_k) is w_k / Σ w, which `Estimate.weights` holds: where f depends on the
logits directly as well, the caller adds Σ_k weight_k ∂f(b_k)/∂logits. Its mean is not zero, as it
is for one sample.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch

from relax.estimators.samples import by_sample, only
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.estimators.formula import Estimator
    from relax.numerics.signatures import Cost


class Bound:
    """-L̂ as a cost of [replica, batch, K * latent], K samples side by side.

    Args:
        cost: f, [replica, K * batch, latent] -> [replica, K * batch].
        samples: K.
    """

    def __init__(self, cost: Cost, samples: int) -> None:
        self.cost, self.samples = cost, samples
        self.each: Tensor | None = None

    def __call__(self, b: Tensor) -> Tensor:
        f = self.each = self.cost(together(b, self.samples))
        return bound_cost(by_sample(f, b.shape[1]))


def bound_cost(f: Tensor) -> Tensor:
    """-L̂ from f, [replica, K, ...] -> [replica, ...]."""
    return math.log(f.shape[1]) - torch.logsumexp(-f, 1)


def weights(f: Tensor, batch: int) -> Tensor:
    """w_k / Σ w, the derivative of -L̂ in each f: [replica, K * batch] -> the same."""
    return torch.softmax(-by_sample(f.detach(), batch), 1).flatten(1, 2)


def together(side_by_side: Tensor, samples: int) -> Tensor:
    """[replica, batch, K * latent] -> [replica, K * batch, latent]."""
    return side_by_side.unflatten(-1, (samples, -1)).movedim(2, 1).flatten(1, 2)


def side_by_side(rows: Tensor, batch: int) -> Tensor:
    """[replica, K * batch, latent] -> [replica, batch, K * latent]."""
    return by_sample(rows, batch).movedim(1, 2).flatten(2, 3)


def on_bound(estimator: Estimator) -> Estimator:
    """The estimator of the gradient of E[-L̂], from one of E[f] with one sample.

    Its surrogate may not look at z: it is given K latents for each that it knows. The latents are
    Bernoulli: the logits of K categorical variables or Gaussians do not lie side by side so.

    Raises:
        ArgumentError: in an estimate, latents of another kind.
    """

    def estimate(surrogate, cost, logits, noise, context=None, relaxation=BERNOULLI):
        only(("bernoulli",), relaxation, "on_bound")
        batch = logits.shape[1]
        samples = noise.u.shape[1] // batch
        joint = Bound(cost, samples)
        noise = type(noise)(*(n if n is None else side_by_side(n, batch) for n in noise))
        repeated = logits.repeat(1, 1, samples)
        found = estimator.estimate(surrogate, joint, repeated, noise, context, relaxation)
        assert joint.each is not None
        return found._replace(
            sample=together(found.sample, samples),
            gradient=by_sample(together(found.gradient, samples), batch).sum(1),
            weights=weights(joint.each, batch),
        )

    return dataclasses.replace(estimator, estimate=estimate, samples=lambda spec: spec.samples)
