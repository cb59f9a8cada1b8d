"""The gradient in φ of an estimator's objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.estimators.closed_form import derivatives_in_surrogate
from relax.estimators.formula import least_variance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from relax.estimators.formula import Estimate, Estimator
    from relax.surrogates.base import Surrogate


def learn_surrogates(
    estimator: Estimator, surrogates: Iterable[Surrogate], estimates: Iterable[Estimate]
) -> None:
    """Give φ the gradient of the estimator's objective, and show the costs to the surrogates.

    `torch.autograd.grad` names φ, so nothing leaks into the model: g depends on the decoder's
    weights too, through c(z) = η f(σ(z/λ)), and a plain `.backward()` would reach them.

    Args:
        estimator: `Estimator`, whose objective each surrogate descends.
        surrogates: modules, whose parameters are φ.
        estimates: one `Estimate` a surrogate, made with it and with its graph.
    """
    parameters = [p for s in surrogates for p in s.learned_parameters()]
    if parameters:
        for parameter, g in objective_gradients(estimator, parameters, estimates):
            parameter.grad = g
    for surrogate, estimate in zip(surrogates, estimates, strict=True):
        surrogate.observe(estimate.cost.detach())


def objective_gradients(
    estimator: Estimator, parameters: Sequence[Tensor], estimates: Iterable[Estimate]
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of a parameter and the derivative in it of the estimator's objective."""
    if estimator.objective is not least_variance:
        objectives = [estimator.objective(estimate).sum() for estimate in estimates]
        return list(zip(parameters, torch.autograd.grad(objectives, parameters), strict=True))
    # ∂(Σ g² / batch) = Σ (2 g / batch) ∂g, without a tape through the sum.
    outputs = [estimate.gradient for estimate in estimates]
    # The batch is the last axis but one, or, of [replica, batch, variable, outcome], but two.
    weights = [g.detach() * (2 / g.shape[1 if g.dim() == 4 else -2]) for g in outputs]
    written_out = [d for estimate in estimates if (d := derivatives_in_surrogate(estimate))]
    if len(written_out) == len(outputs):
        found: dict[Tensor, Tensor] = {}
        for derivatives, weight in zip(written_out, weights, strict=True):
            for parameter, g in derivatives(weight).items():
                found[parameter] = found[parameter] + g if parameter in found else g
        return [(parameter, found[parameter]) for parameter in parameters]
    return list(zip(parameters, torch.autograd.grad(outputs, parameters, weights), strict=True))
