"""What the draft says of its equations beyond (3), (8), (10), (11): both sides, exact, on the toy.

(5), (6) and (9) as they are printed; the sign of the Gumbel noise; MuProp as a case of RELAX; and
"unbiased for all φ" at many φ, large ones too, and at a c that jumps. docs/errata.md has the
derivations.
"""

import numpy as np
import pandas as pd
import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.muprop import TaylorExpansion
from relax.exact.enumeration import enumerate_gradient
from relax.exact.quadrature import exact_moments, logistic_nodes
from relax.experiments.theory.equations import KINDS, THETAS
from relax.experiments.theory.family import logits_of, relaxed_at
from relax.experiments.toy.problem import squared_distance
from relax.numerics.replicas import parameter_generators
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate, SurrogateSpec, ZeroSurrogate
from relax.surrogates.network import Network

NETWORKS = 25  # random φ behind each row of "every φ"
SIZES = (1, 3, 10, 30)  # what their weights are multiplied by
FINE = 1025  # quadrature nodes: a network of large weights is steep
ALPHAS = ((0.25, 0.75), (0.1, 0.2, 0.7), (0.05, 0.1, 0.15, 0.3, 0.4))


def entangled(b):
    """A cost of two latents that does not separate: (b_1 + b_2 - 1.3)² + b_1 b_2."""
    return (b.sum(-1) - 1.3).square() + b.prod(-1)


class HardSurrogate(Surrogate):
    """c(z) = h(H(z)), a function of the hard b: it jumps at 0 and has no slope elsewhere."""

    def __init__(self, of_b):
        super().__init__()
        self.of_b = of_b

    def value_and_slope(self, z, cost, context=None):
        return self.of_b(BERNOULLI.threshold(z)), torch.zeros_like(z)


def printed(settings):
    """Columns as `equations.equations`, and `surrogates`: of how many c the row is the worst."""
    rows = [row for target in settings.targets for row in _of_target(settings, target)]
    rows += [row for kind in KINDS for row in (*_every_surrogate(settings, kind), *_muprop(kind))]
    rows += _gumbel()
    columns = ["equation", "case", "left", "right", "scale", "surrogates"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(error=(table.left - table.right).abs())


def _rows(equation, what, left, right, surrogates=1):
    """One row a θ; the scale is that of the sides over all of them."""
    left, right = np.asarray(left), np.asarray(right)
    scale = max(np.abs(left).max(), np.abs(right).max())
    for theta, one, other in zip(THETAS, left, right, strict=True):
        yield equation, f"{what}, theta={theta:g}", one, other, scale, surrogates


def _of_target(settings, target):
    """(5), (6) and (9)."""
    cost, logits = squared_distance(target), logits_of(THETAS)
    exact = enumerate_gradient(cost, logits).flatten()
    start = relaxed_at([settings.spec.temperature] * len(THETAS), settings.spec)
    plain = exact_moments(Estimator(), ZeroSurrogate(), cost, logits).variance.flatten()

    def moments(rule, surrogate=start, kind="coupled"):
        return [
            x.detach().flatten()
            for x in exact_moments(Estimator(rule), surrogate, cost, logits, kind)
        ]

    mean, variance = moments(_score_of_z_times(lambda c, f: f))
    yield from _rows("5", f"t={target:g}", mean, exact)
    yield from _rows("5 variance", f"t={target:g}", variance, plain)
    mean, _ = moments(_score_of_z_times(lambda c, f: c))
    yield from _rows("6", f"t={target:g}", mean, moments(_slope)[0])
    least = _least_with_6(settings, cost, logits)
    for which, reached in (("", least[0]), (" any", least.min(0).values)):
        yield from _rows("6 variance" + which, f"t={target:g}", reached, plain)
    for kind in KINDS:
        mean, _ = moments(printed_equation_9, kind=kind)
        yield from _rows("9 printed", f"t={target:g}, {kind} noise", mean, exact)


def _score_of_z_times(weigh):
    """(5), (6): a weight, of c(z) and f(b), times ∂ log p(z) at fixed z, which is 2σ(z - α) - 1."""

    def rule(surrogate, cost, logits, noise, context=None):
        draw = BERNOULLI.draw(logits, noise)
        c, _ = surrogate.value_and_slope(draw.z, cost)
        weight = weigh(c, cost(draw.b)).unsqueeze(-1)
        return Estimate(draw.b, cost(draw.b), weight * (2 * torch.sigmoid(draw.z - logits) - 1))

    return rule


def _slope(surrogate, cost, logits, noise, context=None):
    """∂c(z)."""
    draw = BERNOULLI.draw(logits, noise)
    return Estimate(draw.b, cost(draw.b), surrogate.value_and_slope(draw.z, cost)[1])


def _least_with_6(settings, cost, logits):
    """The least variance of (5) less η times (6), plus its mean: [λ, θ], λ as it starts first.

    A parabola in η, from its values at three of them.
    """
    temperatures = [settings.spec.temperature, *np.geomspace(0.1, settings.largest_temperature, 25)]
    wide = logits.repeat(len(temperatures), 1, 1)
    surrogate = relaxed_at(np.repeat(temperatures, len(THETAS)), settings.spec)

    def variance(scale):
        def rule(surrogate, cost, logits, noise, context=None):
            draw = BERNOULLI.draw(logits, noise)
            c, slope = surrogate.value_and_slope(draw.z, cost)
            signal = (cost(draw.b) - scale * c).unsqueeze(-1)
            score = 2 * torch.sigmoid(draw.z - logits) - 1
            return Estimate(draw.b, cost(draw.b), signal * score + scale * slope)

        return exact_moments(Estimator(rule), surrogate, cost, wide, "coupled").variance.flatten()

    middle, high, low = (variance(scale).detach() for scale in (0.0, 1.0, -1.0))
    least = middle - (high - low).square() / (8 * (high + low - 2 * middle))
    return least.view(len(temperatures), len(THETAS))


def printed_equation_9(surrogate, cost, logits, noise, context=None):
    """The draft's (9) as printed: its first term has f(σ(z~)) where f(H(z)) belongs."""
    z, b, z_tilde, dz_tilde, _ = BERNOULLI.draw(logits, noise)
    c, slope_tilde = surrogate.value_and_slope(z_tilde, cost)
    _, slope = surrogate.value_and_slope(z, cost)
    first = (c / surrogate.scale - c).unsqueeze(-1) * BERNOULLI.score(logits, b)
    return Estimate(b, cost(b), first + slope - slope_tilde * dz_tilde)


def _every_surrogate(settings, kind):
    """The mean of RELAX at many φ, the one that is furthest off; and at a c that jumps.

    The cost is the first target's: in the part with c there is none.
    """
    cost = squared_distance(settings.targets[0])
    pairs = [(theta, seed) for theta in THETAS for seed in range(NETWORKS)]
    logits = logits_of([theta for theta, _ in pairs])
    exact = enumerate_gradient(cost, logits).flatten()
    for size in SIZES:
        network = Network(settings.spec, parameter_generators([seed for _, seed in pairs]))
        with torch.no_grad():
            for layer in network.layers:
                for parameter in layer.parameters():
                    parameter.mul_(size)
        mean = exact_moments(Estimator(), network, cost, logits, kind, FINE).mean.flatten()
        worst = (mean - exact).abs().view(len(THETAS), NETWORKS).argmax(1)
        mean, right = (
            x.view(len(THETAS), NETWORKS)[range(len(THETAS)), worst] for x in (mean, exact)
        )
        what = f"weights times {size}, {kind} noise"
        yield from _rows("every surrogate", what, mean.detach(), right, NETWORKS)
    logits = logits_of(THETAS)
    jump = HardSurrogate(lambda b: b.sum(-1))
    mean = exact_moments(Estimator(), jump, cost, logits, kind).mean.flatten()
    right = enumerate_gradient(cost, logits).flatten()
    yield from _rows("every surrogate jump", f"c = H(z), {kind} noise", mean, right)


def _muprop(kind):
    """MuProp's control variate, a function of the hard b, put in the place of c; two latents."""
    logits = logits_of(THETAS, latents=2)
    expansion = TaylorExpansion(SurrogateSpec(latents=2, dtype=torch.float64), [None] * len(THETAS))
    mean = torch.sigmoid(logits)
    value, slope = (x.detach() for x in expansion.expand(entangled, mean))
    taylor = HardSurrogate(lambda b: value + (slope * (b - mean)).sum(-1))
    left = exact_moments(Estimator(), taylor, entangled, logits, kind, 33).mean
    # Of the latents the first: the cost and both θ are symmetric in them.
    right = enumerate_gradient(entangled, logits).view(len(THETAS), 2)
    yield from _rows("muprop", f"two latents, {kind} noise", left[:, 0], right[:, 0])


def _gumbel():
    """P(k) of argmax log α_k ± G_k, over G_k's own noise u, against α_k / Σ α.

    With e_j = -log u_j the plus asks that e_j > e_k α_j/α_k for all j, probability u^(α_j/α_k)
    each; the minus that e_j < e_k α_k/α_j, probability 1 - u^(α_k/α_j).
    """
    u, weights = logistic_nodes(2001, 40.0)
    for alphas in ALPHAS:
        scale = max(alphas) / sum(alphas)
        for k, alpha in enumerate(alphas):
            ratios = [other / alpha for j, other in enumerate(alphas) if j != k]
            plus = torch.stack([u**r for r in ratios]).prod(0) @ weights
            minus = torch.stack([1 - u ** (1 / r) for r in ratios]).prod(0) @ weights
            case = f"{len(alphas)} outcomes, outcome {k + 1}"
            for equation, found in (("gumbel", plus), ("gumbel printed", minus)):
                yield equation, case, found.item(), alpha / sum(alphas), scale, 1
