"""Exact expectations over one continuous variable: panels of Gauss and Legendre over ε."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from relax.errors import ArgumentError
from relax.estimators.variance import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from relax.numerics.signatures import Pair
    from relax.relaxations.transformations import Transformation


REACH = 60.0  # deviations of ε that are looked at
DEPTH = 46.0  # how far below its greatest the log-density of ε is cut: e^-46 is 1e-20
PANELS, ORDER = 120, 16


def density_nodes(
    transformation: Transformation,
    parameters: Tensor,
    breaks: Sequence[float] = (),
    panels: int = PANELS,
    order: int = ORDER,
) -> Pair:
    """Nodes z [replica, node, 1] and weights [replica, node] of integrals over q(z; ν) dz.

    Gauss-Legendre panels over a standardised ε, where the density falls off exponentially on both
    sides whatever the parameters are, from cut to cut; a panel ends wherever the function has a
    kink or a step, so that it is smooth within.

    Args:
        transformation: one whose ε is standardised: Normal, Gamma, Beta.
        parameters: [replica, 1, P], float64: one latent.
        breaks: values of z where the function that is integrated is not smooth.

    Raises:
        ArgumentError: parameters that are not allowed, or so small that float64 cannot hold all of
            the mass (`Transformation.resolved`); or several latents.
    """
    transformation.check(parameters)
    for name, values in zip(transformation.names, transformation.split(parameters), strict=True):
        least = transformation.resolved.get(name, -torch.inf)
        if (values < least).any():
            raise ArgumentError(
                f"quadrature takes a {name} of {transformation} of {least:g} or more, below which "
                f"float64 cannot hold all of its mass; got {values.min().item():g}"
            )
    if parameters.shape[1:] != (1, len(transformation.names)):
        raise ArgumentError(
            f"quadrature takes the parameters of one latent, [replica, 1, "
            f"{len(transformation.names)}]; got {list(parameters.shape)}"
        )
    ends = _ends(transformation, parameters)
    low, high = ends[:, :1], ends[:, -1:]
    edges = [low + (high - low) * k / panels for k in range(panels + 1)]
    for value in breaks:
        kink = torch.full_like(parameters[..., :1], value)
        place = transformation.inverse(parameters, kink)[..., 0]
        # A break outside is an edge twice: a panel of no length.
        edges.append(torch.minimum(torch.maximum(place, low), high))
    sides = torch.cat(edges, -1).sort(-1).values
    points, shares = (torch.as_tensor(x) for x in np.polynomial.legendre.leggauss(order))
    half = (sides[:, 1:] - sides[:, :-1]).unsqueeze(-1) / 2
    epsilon = (sides[:, :-1].unsqueeze(-1) + half * (points + 1)).flatten(1).unsqueeze(-1)
    log, z = transformation.log_law(parameters, epsilon)
    weights = log.exp().squeeze(-1) * (half * shares).flatten(1)
    return z, weights / weights.sum(1, keepdim=True)


def _ends(transformation, parameters):
    """The ε between which the density matters: [replica, 2]."""
    grid = torch.linspace(-REACH, REACH, 2401, dtype=parameters.dtype).view(1, -1, 1)
    log, _ = transformation.log_law(parameters, grid.expand(len(parameters), -1, -1))
    log = log.squeeze(-1)
    inside = log > log.max(1, keepdim=True).values - DEPTH
    grid = grid.view(1, -1).expand_as(inside)
    low = torch.where(inside, grid, torch.inf).min(1).values
    return torch.stack([low, torch.where(inside, grid, -torch.inf).max(1).values], 1)


def weighted_moments(gradient: Tensor, weights: Tensor) -> Moments:
    """Mean and variance over the nodes: [replica, node, P] -> `Moments` of [replica, P]."""
    mean = torch.einsum("rnp,rn->rp", gradient, weights)
    variance = torch.einsum("rnp,rn->rp", (gradient - mean.unsqueeze(1)).square(), weights)
    return Moments(mean, variance)


def best_in_span(gradient: Tensor, controls: Tensor, weights: Tensor) -> Moments:
    """Least variance of g + Σ_k w_k v_k over w, at the nodes, for controls v_k of mean zero.

    Args:
        gradient: g, [replica, node, 1].
        controls: v, [replica, node, k].
        weights: of the nodes, [replica, node].

    Returns:
        `Moments` of the best combination, [replica, 1] each.
    """
    mean = torch.einsum("rnp,rn->rp", gradient, weights)
    root = weights.sqrt().unsqueeze(-1)
    # Columns of one size: the functions of a span differ by orders of magnitude.
    columns = root * controls
    columns = columns / columns.norm(dim=1, keepdim=True).clamp(min=torch.finfo(root.dtype).tiny)
    target = root * (gradient - mean.unsqueeze(1))
    basis = torch.linalg.svd(columns, full_matrices=False)
    kept = (1e-12 * basis.S[:, :1] < basis.S).to(root.dtype).unsqueeze(-1)
    shares = kept * (basis.U.mT @ target)
    return Moments(mean, (target - basis.U @ shares).square().sum(1))
