"""What each estimator assumes of the cost, measured exactly on the toy, one latent.

An assumption is a share of f's variance, as in `relax.experiments.vae.assumptions`; what comes of
it is the share of REINFORCE's variance that the estimator's control variate leaves at its best.

    REBAR     ρ²(f(b), f(σ(z/λ))) over the noise; left with the best η at that λ
    MuProp    ρ²(f(b), f(θ) + f'(θ)(b - θ)): 1, since with one latent f is affine in b; left with
              its own η: the constant η [f(θ) + f'(θ)(1 - 2θ)] can have any height, so nothing
    NVIL      the share that x predicts: there is no x, so 0; left with its baseline where it
              converges, E[f]: [E f - c*]² / c*²

c* = (1-θ) f(1) + θ f(0) is the constant without variance (docs/estimators.md).
"""

import numpy as np
import pandas as pd
import torch

from relax.exact.optimal import best_scale
from relax.exact.quadrature import logistic_nodes, noise_given
from relax.experiments.theory.family import logits_of, relaxed_at
from relax.experiments.toy.problem import expected_loss, squared_distance
from relax.relaxations.bernoulli import BERNOULLI
from relax.runs.tables import labelled


def assumptions(settings):
    """Columns: target, noise, theta, estimator, share, left; see the top of this module."""
    thetas = np.asarray(settings.thetas)
    tables = []
    for target in settings.targets:
        star = (1 - thetas) * (1 - target) ** 2 + thetas * target**2
        plain = thetas * (1 - thetas) * star**2
        surrogate = relaxed_at([settings.spec.temperature] * len(thetas), settings.spec)
        cost, logits = squared_distance(target), logits_of(thetas)
        best = best_scale(surrogate, cost, logits, settings.noise).variance.detach().numpy()
        correlation = squared_correlation(surrogate, cost, logits)
        baseline = (expected_loss(thetas, target) - star) ** 2 / star**2
        for name, share, left in (
            ("rebar", correlation, best / plain),
            ("muprop", 1.0, 0.0),
            ("nvil", 0.0, baseline),
        ):
            table = pd.DataFrame({"theta": thetas, "share": share, "left": left})
            labels = {"target": target, "noise": settings.noise, "estimator": name}
            tables.append(labelled(table, **labels))
    return pd.concat(tables, ignore_index=True)


def squared_correlation(surrogate, cost, logits):
    """ρ²(f(b), c(z)) over u, exact: [replica]. Logits [replica, 1, 1]."""
    v, weights = logistic_nodes()
    theta = torch.sigmoid(logits).flatten()
    wide = logits.expand(-1, len(v), -1)
    means, squares, costs = [], [], []
    for one in (0.0, 1.0):
        u = noise_given(wide, torch.full_like(wide, one), v.view(1, -1, 1))
        with torch.no_grad():
            c = surrogate(BERNOULLI.sample(wide, u), cost)
        means.append(c @ weights)
        squares.append(c.square() @ weights)
        costs.append(cost(torch.full((1, 1, 1), one, dtype=torch.float64)).item())
    between = theta * (1 - theta) * (means[1] - means[0])
    mean, square = ((1 - theta) * pair[0] + theta * pair[1] for pair in (means, squares))
    of_f = theta * (1 - theta) * (costs[1] - costs[0]) ** 2
    covariance = (costs[1] - costs[0]) * between
    return (covariance.square() / (of_f * (square - mean.square()))).numpy()
