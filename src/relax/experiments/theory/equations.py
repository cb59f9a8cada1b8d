"""The draft's equations (3), (8), (10), (11) and unbiasedness, both sides exact, on the toy.

Equations are taken with the signs of docs/errata.md. Both sides come from quadrature over the noise
and enumeration over b; where a side is a derivative or a minimum it is found in another way than
the other side, so that agreement means something.
"""

import numpy as np
import pandas as pd
import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.registry import REGISTRY, estimator_names, load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.exact.optimal import best_scale
from relax.exact.quadrature import exact_moments, logistic_nodes, noise_given
from relax.experiments.toy.problem import squared_distance
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.network import Network
from relax.surrogates.relaxed_cost import RelaxedCost

THETAS = (0.1, 0.35, 0.5, 0.8)
KINDS = ("independent", "coupled")


def equations(settings):
    """Both sides of each equation, at four θ and every target, for independent and coupled noise.

    Columns: equation ("3", "8", "10", "11", "unbiased"), case, left, right, error (|left - right|),
    scale (the larger of the sides' magnitudes over the case's θ: what the error is small against),
    surrogates (how many c the row is the worst of).
    """
    rows = []
    for target in settings.targets:
        cost = squared_distance(target)
        logits = torch.logit(torch.tensor(THETAS, dtype=torch.float64)).view(-1, 1, 1)
        for kind in KINDS:
            for equation, what, left, right in _sides(cost, logits, kind, settings.spec):
                scale = max(np.abs(left).max(), np.abs(right).max())
                for theta, one, other in zip(THETAS, left, right, strict=True):
                    case = f"{what}, t={target:g}, theta={theta:g}, {kind} noise"
                    rows.append((equation, case, one, other, abs(one - other), scale))
    columns = ["equation", "case", "left", "right", "error", "scale"]
    return pd.DataFrame(rows, columns=columns).assign(surrogates=1)


def _sides(cost, logits, kind, spec):
    """Yield (equation, what, left, right), the sides as arrays over θ."""
    generators = parameter_generators(range(len(THETAS)))
    relaxed, network = RelaxedCost(spec, len(THETAS)), Network(spec, generators)

    def mean(estimate, surrogate):
        return exact_moments(Estimator(estimate), surrogate, cost, logits, kind).mean.flatten()

    def variance(surrogate):
        moments = exact_moments(Estimator(), surrogate, cost, logits, kind)
        return moments.variance.detach().flatten().numpy()

    # (3): the closed form against the vertex of the parabola through three exact variances.
    at = []
    for scale in (0.0, 1.0, 2.0):
        with torch.no_grad():
            relaxed.scale.fill_(scale)
        at.append(variance(relaxed))
    with torch.no_grad():
        relaxed.scale.fill_(1.0)
    vertex = 1 - (at[2] - at[0]) / (2 * (at[2] - 2 * at[1] + at[0]))
    yield "3", "optimal eta", best_scale(relaxed, cost, logits, kind).scale.numpy(), vertex

    for equation, name, surrogate in (("8", "relaxed cost", relaxed), ("10", "network", network)):
        left, right = mean(_score_of_c, surrogate), mean(_difference_of_slopes, surrogate)
        yield equation, f"c is the {name}", left.numpy(), right.numpy()

    yield (
        "11",
        "derivative in eta",
        *_variance_slopes(relaxed, "scale", cost, logits, kind, variance),
    )
    yield (
        "11",
        "derivative in a network's weights",
        *_variance_slopes(network, "layers.0.weight", cost, logits, kind, variance),
    )

    exact = enumerate_gradient(cost, logits).flatten().numpy()
    for name in estimator_names():
        if REGISTRY[name].formula and REGISTRY[name].unbiased and name != "exact":
            estimator = load_estimator(name)
            surrogate = estimator.surrogate(spec, generators)
            moments = exact_moments(estimator, surrogate, cost, logits, kind)
            yield "unbiased", REGISTRY[name].label, moments.mean.flatten().numpy(), exact


def _score_of_c(surrogate, cost, logits, noise, context=None):
    """c(z~) ∂ log p(b|θ), the left side of (8) and (10)."""
    draw = BERNOULLI.draw(logits, noise)
    c, _ = surrogate.value_and_slope(draw.z_tilde, cost)
    return Estimate(draw.b, cost(draw.b), c.unsqueeze(-1) * draw.score)


def _difference_of_slopes(surrogate, cost, logits, noise, context=None):
    """∂c(z) - ∂c(z~), the right side of (8) and (10) with its sign put right."""
    z, b, z_tilde, dz_tilde, _ = BERNOULLI.draw(logits, noise)
    slope, slope_tilde = (surrogate.value_and_slope(x, cost)[1] for x in (z, z_tilde))
    return Estimate(b, cost(b), slope - slope_tilde * dz_tilde)


def _variance_slopes(surrogate, parameter, cost, logits, kind, variance, step=1e-5):
    """E[∂φ g²] over the noise, and the central difference of the exact variance.

    φ moves along the all-ones direction of one parameter, in every replica at once: replicas are
    independent, so each sees its own.
    """
    values = dict(surrogate.named_parameters())[parameter]
    nodes, weights = logistic_nodes(97, 24.0)
    u_given, v = torch.cartesian_prod(nodes, nodes).T.view(2, 1, -1, 1)
    weight = torch.cartesian_prod(weights, weights).prod(-1)
    if kind == "coupled":
        u_given, weight = nodes.view(1, -1, 1), weights
    wide = logits.expand(-1, u_given.shape[1], -1)
    theta, expected = torch.sigmoid(logits), 0.0
    for one in (0.0, 1.0):
        u = noise_given(wide, torch.full_like(wide, one), u_given)
        noise = Noise(u, v.expand_as(u) if kind == "independent" else None)
        g = Estimator().rule(surrogate, cost, wide, noise).gradient.squeeze(-1)
        probability = (theta if one else 1 - theta).flatten()
        expected = expected + probability * (g.square() @ weight)
    (slope,) = torch.autograd.grad(expected.sum(), values)
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            values.add_(sign * step)
            sides.append(variance(surrogate))
            values.sub_(sign * step)
    return slope.flatten(1).sum(1).numpy(), (sides[0] - sides[1]) / (2 * step)
