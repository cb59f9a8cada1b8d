"""What the draft left open, computed: the optimal relaxation, and what the estimators make of it.

Each function returns a tidy table. One Bernoulli latent is the toy's, f(b) = (b - t)²; two latents
have a cost that does not separate. Exact means enumeration over b and quadrature over the noise.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from relax.estimators.registry import load_estimator
from relax.exact.enumeration import enumerate_gradient
from relax.exact.optimal import ProductBasis, least_variance, no_cost
from relax.exact.quadrature import exact_moments
from relax.experiments.theory.assumptions import assumptions
from relax.experiments.theory.equations import equations
from relax.experiments.theory.family import best_of_family, eta, family, logits_of, relaxed_at
from relax.experiments.theory.printed import entangled, printed
from relax.experiments.toy.problem import ToySettings, squared_distance, tune
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.runs.settings import collect
from relax.runs.tables import labelled
from relax.surrogates.base import Surrogate, SurrogateSpec, ZeroSurrogate

RELAX, REINFORCE, CONCRETE = (load_estimator(name) for name in ("relax", "reinforce", "concrete"))


@dataclass(frozen=True)
class TheorySettings:
    """`theory:` in config.yaml; the surrogate's settings are the toy's."""

    targets: tuple[float, ...]
    thetas: tuple[float, ...]
    grid: int
    largest_temperature: float
    seeds: range
    steps: int
    surrogate_learning_rate: float
    noise: str
    spec: SurrogateSpec

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        last = params.number_of_seeds - 1
        wildcards = {"first": 0, "last": last}
        beside = ["number_of_seeds"]
        return collect(cls, wildcards, params, beside, latents=1, dtype=torch.float64)

    @property
    def theta_grid(self):
        """θ evenly inside (0, 1): [grid]."""
        return (np.arange(self.grid) + 0.5) / self.grid

    def toy(self, target, estimator, noise=None):
        """Settings to tune a surrogate with."""
        return ToySettings(
            estimator,
            self.seeds,
            target=target,
            steps=self.steps,
            surrogate_learning_rate=self.surrogate_learning_rate,
            noise=noise or self.noise,
            spec=self.spec,
        )


def optimum(settings):
    """Least variances along θ, one latent: REINFORCE, the Concrete family, the constant c*.

    Columns: target, noise, theta, family, variance, constant (c*), scale (η), temperature (λ).
    """
    tables, thetas = [], settings.theta_grid
    for target in settings.targets:
        cost = squared_distance(target)
        family = best_of_family(cost, thetas, settings, settings.noise)
        plain = exact_moments(REINFORCE, ZeroSurrogate(), cost, logits_of(thetas))
        constant = [
            least_variance(ProductBasis(1, 0), cost, logits_of([theta]), settings.noise)
            for theta in thetas
        ]
        heights = [best.surrogate.weights.item() for best in constant]
        parts = {
            "reinforce": pd.DataFrame({"theta": thetas, "variance": plain.variance.flatten()}),
            "concrete family": family,
            "constant": pd.DataFrame(
                {"theta": thetas, "variance": [best.variance for best in constant]}
            ),
        }
        for name, part in parts.items():
            part = labelled(part, target=target, noise=settings.noise, family=name)
            tables.append(part.assign(constant=heights if name == "constant" else np.nan))
    columns = ["target", "noise", "theta", "family", "variance", "constant", "scale", "temperature"]
    return pd.concat(tables, ignore_index=True)[columns]


def concrete(settings):
    """Concrete's exact bias and variance against its temperature.

    Columns: target, theta, temperature, exact_gradient, bias, variance.
    """
    temperatures = np.geomspace(0.1, 10, 41)
    tables = []
    for target in settings.targets:
        cost = squared_distance(target)
        for theta in settings.thetas:
            logits = logits_of([theta] * len(temperatures))
            moments = exact_moments(CONCRETE, relaxed_at(temperatures, settings.spec), cost, logits)
            exact = enumerate_gradient(cost, logits).flatten()
            columns = {
                "temperature": temperatures,
                "exact_gradient": exact,
                "bias": moments.mean.detach().flatten() - exact,
                "variance": moments.variance.detach().flatten(),
            }
            tables.append(labelled(pd.DataFrame(columns), target=target, theta=theta))
    return pd.concat(tables, ignore_index=True)


def _tuned_relax(settings, cost, thetas, target, noise=None, latents=1, log=None):
    """RELAX's network tuned at every θ and seed: the surrogate, its logits, θ and seed a row."""
    rows = [(theta, seed) for theta in thetas for seed in settings.seeds]
    of_theta, of_seed = (list(column) for column in zip(*rows, strict=True))
    spec = replace(settings.spec, latents=latents, add_relaxed_cost=False)
    surrogate = RELAX.surrogate(spec, parameter_generators(of_seed))
    logits = logits_of(of_theta, latents)
    tune(settings.toy(target, "relax", noise), surrogate, logits, of_seed, cost, log)
    return surrogate, logits, of_theta, of_seed


def relaxations(settings, points=101, log=None):
    """Curves c(z) over u at several θ, with the variance that each reaches; and RELAX's terms.

    Returns two tables. The curves: target, noise, theta, seed (of the network; 0 otherwise), u,
    family ("relax", "concrete family", "constant", "cost"), value, variance. The other is that of
    `terms`.
    """
    u = (np.arange(points) + 0.5) / points
    curves, histograms = [], []
    for target in settings.targets:
        cost = squared_distance(target)
        surrogate, logits, of_theta, of_seed = _tuned_relax(
            settings, cost, settings.thetas, target, log=log
        )
        z = (logits + torch.logit(torch.as_tensor(u)).view(1, -1, 1)).detach()
        with torch.no_grad():
            values = surrogate(z, cost)
            variance = exact_moments(RELAX, surrogate, cost, logits, settings.noise).variance
        best = best_of_family(cost, settings.thetas, settings, settings.noise)

        def curve(row, name, value, reached, theta, seed=0, target=target):
            columns = {"u": u, "value": value, "variance": reached}
            labels = {"target": target, "noise": settings.noise, "theta": theta, "seed": seed}
            return labelled(pd.DataFrame(columns), **labels, family=name)

        for row, (theta, seed) in enumerate(zip(of_theta, of_seed, strict=True)):
            reached = variance[row].item()
            curves.append(curve(row, "relax", values[row].numpy(), reached, theta, seed))
        for row, theta in enumerate(settings.thetas):
            at = z[row * len(settings.seeds)].unsqueeze(0)
            scale, temperature = best.scale[row], best.temperature[row]
            with torch.no_grad():
                relaxed = scale * relaxed_at([temperature], settings.spec)(at, cost)[0].numpy()
            constant = (1 - theta) * (1 - target) ** 2 + theta * target**2
            hard = cost((at > 0).double())[0].numpy()
            curves.append(curve(row, "concrete family", relaxed, best.variance[row], theta))
            curves.append(curve(row, "constant", constant, 0.0, theta))
            curves.append(curve(row, "cost", hard, np.nan, theta))
        histograms.append(terms(surrogate, cost, logits, of_theta, target, settings))
    return pd.concat(curves, ignore_index=True), pd.concat(histograms, ignore_index=True)


class _ValueOnly(Surrogate):
    """A surrogate without its slope: what the formula makes of c's score term alone."""

    def __init__(self, surrogate):
        super().__init__()
        self.surrogate = surrogate

    def value_and_slope(self, z, cost, context=None):
        return self.surrogate(z, cost, context), torch.zeros_like(z)


def terms(surrogate, cost, logits, of_theta, target, settings, samples=10_000, bins=60):
    """Histograms of the three terms of RELAX's estimate, and of their sum, of the tuned network.

    Of the first seed, at the θ nearest one half. Columns: target, noise, theta, term ("score of f",
    "score of c", "reparameterization", "estimate"), left, right (bin edges), density, mean,
    deviation (of the term's own samples).
    """
    row = int(np.argmin(np.abs(np.asarray(of_theta) - 0.5)))
    u, v = uniform_noise([0], "evaluation", 0, (2, samples, 1)).unbind(1)
    wide = logits.expand(-1, samples, -1)
    noise = Noise(u.expand_as(wide), v.expand_as(wide) if settings.noise == "independent" else None)

    # The formula is linear in f and in c: its terms are the formula with the rest left out.
    with torch.no_grad():
        parts = {
            "score of f": REINFORCE.rule(ZeroSurrogate(), cost, wide, noise),
            "score of c": RELAX.rule(_ValueOnly(surrogate), no_cost, wide, noise),
            "both of c": RELAX.rule(surrogate, no_cost, wide, noise),
            "estimate": RELAX.rule(surrogate, cost, wide, noise),
        }
    values = {name: part.gradient[row].flatten().numpy() for name, part in parts.items()}
    values["reparameterization"] = values.pop("both of c") - values["score of c"]
    tables = []
    for name, value in values.items():
        # A bin width for each: one for all would hide the narrow terms.
        density, edges = np.histogram(value, bins=bins, density=True)
        columns = {"left": edges[:-1], "right": edges[1:], "density": density}
        labels = {"target": target, "noise": settings.noise, "theta": of_theta[row], "term": name}
        moments = {"mean": value.mean(), "deviation": value.std()}
        tables.append(labelled(pd.DataFrame(columns), **labels).assign(**moments))
    return pd.concat(tables, ignore_index=True)


def latents(settings, log=None):
    """Least and reached total variances for one and two latents, both kinds of noise.

    One latent has the toy's cost at the first target, two have `entangled`. Columns: latents,
    noise, theta, surrogate ("reinforce", "best constant", "rebar optimum", "relax trained", "best
    of class"), seed (of the network; 0 otherwise), variance (sum over latents).
    """
    rows = []
    problems = [(1, squared_distance(settings.targets[0]), 257, 8), (2, entangled, 65, 6)]
    for count, cost, nodes, degree in problems:
        for noise in ("independent", "coupled"):
            surrogate, logits, of_theta, of_seed = _tuned_relax(
                settings, cost, settings.thetas, settings.targets[0], noise, count, log
            )
            reached = exact_moments(RELAX, surrogate, cost, logits, noise, nodes).variance.sum(-1)
            for theta, seed, variance in zip(of_theta, of_seed, reached.tolist(), strict=True):
                rows.append((count, noise, theta, "relax trained", seed, variance))
            rebar = best_of_family(
                cost, settings.thetas, settings, noise, count, nodes if count > 1 else None
            )
            for theta, variance in zip(rebar.theta, rebar.variance, strict=True):
                at = logits_of([theta], count)
                constant = least_variance(ProductBasis(count, 0), cost, at, noise, nodes)
                best = least_variance(ProductBasis(count, degree), cost, at, noise, nodes)
                for name, value in (
                    ("reinforce", constant.reinforce_variance),
                    ("best constant", constant.variance),
                    ("rebar optimum", variance),
                    ("best of class", best.variance),
                ):
                    rows.append((count, noise, theta, name, 0, value))
    columns = ["latents", "noise", "theta", "surrogate", "seed", "variance"]
    return pd.DataFrame(rows, columns=columns)


def all_tables(settings, log=None):
    """Every table of results/theory/, by name."""
    curves, histograms = relaxations(settings, log=log)
    return {
        "optimum": optimum(settings),
        "concrete": concrete(settings),
        "relaxations": curves,
        "terms": histograms,
        "eta": eta(settings, log),
        "latents": latents(settings, log),
        "equations": pd.concat([equations(settings), printed(settings)], ignore_index=True),
        "family": family(settings),
        "toy_assumptions": assumptions(settings),
    }
