"""Tables as a run would leave them, in which every claim holds; each part can be changed."""

from functools import cache
from importlib import import_module

import pandas as pd

from relax.experiments.claims import DRAFT_ORDER, judge_claims
from relax.experiments.theory.equation_claims import EQUAL, INEFFECTIVE
from relax.presentation.judge import stack

VAE = "on the VAE (digits, linear1)"
SEEDS = range(5)
NEAR = [-2e-3, 1e-3, 0.0, -1e-3, 2e-3]  # how seeds differ: by little


TOY_RUNS = {
    "exact": (0.001, 0.0),
    "reinforce": (0.4, 1e-2),
    "concrete": (0.5, 1e-2),
    "rebar": (0.4, 1e-2),
    "relax": (0.05, 1e-8),
    "nvil": (0.4, 1e-2),
    "muprop": (0.4, 1e-2),
}
EASY = {"rebar": (0.05, 1e-4)}  # what differs at the target of the control


def toy(seeds=SEEDS, targets=(0.499, 0.45), control=EASY, **changed):
    """Toy training; `changed`: (final θ, variance) of an estimator, or None; `control`: at 0.45."""
    rows = [
        (name, target, "independent", seed, step, theta, target**2 + (1 - 2 * target) * theta, v)
        for target in targets
        for name, run in (TOY_RUNS | (control if target == 0.45 else {}) | changed).items()
        if run
        for seed in seeds
        for step, theta, v in (
            (0, 0.5, run[1]),
            (10, run[0] * (1 + NEAR[seed]), run[1] * (1 + 2 * NEAR[seed])),
        )
    ]
    columns = "estimator target noise seed step theta loss exact_variance"
    return pd.DataFrame(rows, columns=columns.split())


ELBOS = {
    "reinforce": -22.0,
    "nvil": -21.6,
    "muprop": -21.4,
    "concrete": -21.0,
    "rebar": -20.5,
    "relax": -20.0,
}


def training(seeds=SEEDS, **changed):
    """VAE training; `changed`: the ELBO of an estimator, or None."""
    rows = [
        ("digits", "linear1", name, 0.001, "coupled", seed, step, elbo + step / 100 + NEAR[seed])
        for name, elbo in (ELBOS | changed).items()
        if elbo
        for seed in seeds
        for step in (5, 10)
    ]
    columns = "dataset model estimator learning_rate noise seed step train_elbo"
    table = pd.DataFrame(rows, columns=columns.split())
    return table.assign(valid_elbo=table.train_elbo - 1, epoch=table.step / 5)


def best(seeds=SEEDS, **changed):
    """Of each run the model that validates best, evaluated afresh."""
    table = training(seeds, **changed)
    return table.loc[table.groupby(["estimator", "seed"]).valid_elbo.idxmax()]


VARIANCES = {"reinforce": 1.0, "concrete": 0.02, "rebar": 0.01, "relax": 0.009}


def variance(seeds=SEEDS, first=None, other=None, **changed):
    """Variances at two checkpoints, and at the last without the direct term.

    `first`: what differs at the first of them; `other`: without the term.
    """
    rows = [
        ("digits", "linear1", "rebar", 0.001, "coupled", True, direct, name, seed, step,
         v * (1 + NEAR[seed] * v), True)
        for step, direct, here in (
            (0, True, changed | (first or {})),
            (10, True, changed),
            (10, False, changed | (other or {})),
        )
        for name, v in (VARIANCES | here).items()
        if v
        for seed in seeds
    ]  # fmt: skip
    columns = "dataset model trajectory learning_rate noise direct_gradient direct_term estimator "
    columns += "seed step encoder_variance flat"
    return pd.DataFrame(rows, columns=columns.split())


TUNED = {
    "rebar": ("rebar", "relaxed cost", 0.01),
    "alone": ("relax", "network", 0.008),
    "added": ("relax", "relaxed cost + network", 0.009),
    "nvil": ("nvil", "baseline", 0.5),
}


def midtraining(seeds=SEEDS, rate=0.001, **changed):
    """Variances while surrogates are tuned halfway; `changed`: the last one of a curve, or None."""
    rows = [
        ("digits", "linear1", "rebar", rate, "coupled", 5, name, surrogate, seed, step, value)
        for key, (name, surrogate, v) in TUNED.items()
        if changed.get(key, v)
        for seed in seeds
        for step, value in ((0, 1.0), (100, changed.get(key, v) * (1 + NEAR[seed])))
    ]
    columns = "dataset model trajectory learning_rate noise checkpoint estimator surrogate seed"
    return pd.DataFrame(rows, columns=[*columns.split(), "step", "encoder_variance"])


def assumptions(rebar=0.8, seeds=SEEDS):
    """Shares of f's variance, halfway; `rebar`: that of REBAR's assumption, or None."""
    rows = [
        ("digits", "linear1", "rebar", 0.001, "coupled", 5, name, seed, share + NEAR[seed])
        for name, share in (("rebar", rebar), ("nvil", 0.1))
        if share
        for seed in seeds
    ]
    columns = "dataset model trajectory learning_rate noise checkpoint estimator seed share"
    return pd.DataFrame(rows, columns=columns.split())


def equations(**changed):
    """Equations whose sides agree; `changed`: the sides of one, or None."""
    equal = dict.fromkeys(set(EQUAL) - {"8 printed", "10 printed"}, (0.3, 0.3))
    sides = equal | dict.fromkeys(INEFFECTIVE, (0.4, 0.3)) | changed
    rows = [
        (name, case, *pair, abs(pair[0] - pair[1]), 0.3, 1)
        for name, pair in sides.items()
        if pair
        for case in ("one", "two")
    ]
    columns = "equation case left right error scale surrogates"
    return pd.DataFrame(rows, columns=columns.split())


def concrete(bias=lambda temperature: 0.01 * temperature, temperatures=(0.1, 0.5, 1.0)):
    """Concrete's bias at two θ."""
    return pd.DataFrame(
        [(0.45, theta, t, 0.02, bias(t)) for theta in (0.3, 0.6) for t in temperatures],
        columns=["target", "theta", "temperature", "exact_gradient", "bias"],
    )


def optimum(left=1e-4, targets=(0.45, 0.499), thetas=(0.2, 0.5), constant=None, families=None):
    """Exact optima of one latent; `constant`: c* as a function of target and θ."""
    constant = constant or (lambda t, theta: (1 - theta) * (1 - t) ** 2 + theta * t**2)
    variances = {"reinforce": 1e-2, "concrete family": left, "constant": 1e-32}
    rows = [
        (t, "independent", theta, name, variances[name], constant(t, theta), 148.0)
        for t in targets
        for theta in thetas
        for name in families or variances
    ]
    columns = "target noise theta family variance constant temperature"
    return pd.DataFrame(rows, columns=columns.split())


def relaxations(learned=(1e-6, 1e-6), seeds=SEEDS):
    """Learned relaxations at two θ; `learned`: RELAX's variance at each."""
    rows = [
        (0.499, "independent", theta, 0, u, "concrete family", 1e-4)
        for theta in (0.2, 0.5)
        for u in (0.1, 0.9)
    ]
    rows += [
        (0.499, "independent", theta, seed, u, "relax", v * (1 + NEAR[seed]))
        for theta, v in zip((0.2, 0.5), learned, strict=True)
        for seed in seeds
        for u in (0.1, 0.9)
    ]
    return pd.DataFrame(
        rows, columns=["target", "noise", "theta", "seed", "u", "family", "variance"]
    )


def family(left=1.0, temperatures=(0.1, 10.0)):
    """Concrete's least variances along λ; `left`: of REINFORCE's 0.01, times 1 + λ²."""
    rows = [
        (0.499, "independent", theta, t, 0.01 * left / (1 + t**2), 0.01)
        for theta in (0.2, 0.5)
        for t in temperatures
    ]
    columns = "target noise theta temperature variance reinforce_variance"
    return pd.DataFrame(rows, columns=columns.split())


def toy_assumptions(rebar=0.7):
    """Shares of f's variance at two θ."""
    rows = [
        (0.45, theta, name, v)
        for theta in (0.2, 0.5)
        for name, v in (("rebar", rebar), ("nvil", 0))
    ]
    table = pd.DataFrame(rows, columns=["target", "theta", "estimator", "share"])
    return table.assign(left=1 - table.share)


def latents(best=0.05, learned=0.1, seeds=SEEDS, counts=(1, 2), constant=0.5):
    """Least variances on one and two latents."""
    rows = [
        (n, "coupled", theta, name, seed, v * (1 + (NEAR[seed] if name == "relax trained" else 0)))
        for n in counts
        for theta in (0.2, 0.5)
        for name, v in (
            ("reinforce", 1.0),
            ("best constant", constant),
            ("rebar optimum", 0.2),
            ("relax trained", learned),
            ("best of class", best),
        )
        for seed in (seeds if name == "relax trained" else [0])
    ]
    return pd.DataFrame(
        rows, columns=["latents", "noise", "theta", "surrogate", "seed", "variance"]
    )


def eta(excess=(0.001, 0.002), seeds=SEEDS, none=1.5):
    """Variances at the learned η, at two θ; 1 is the least, and η = 0 has `none`."""
    rows = [
        (0.45, theta, seed, 0.5, 1 + value * (1 + NEAR[seed]), 1.0, 2.0, none)
        for theta, value in zip((0.2, 0.5), excess, strict=True)
        for seed in seeds
    ]
    names = "learned closed start reinforce"
    columns = ["target", "theta", "seed", "temperature", *(f"{n}_variance" for n in names.split())]
    return pd.DataFrame(rows, columns=columns)


MAKERS = (
    toy,
    training,
    best,
    variance,
    midtraining,
    assumptions,
    equations,
    concrete,
    optimum,
    relaxations,
    latents,
    eta,
    family,
    toy_assumptions,
)
WHOLE = {maker.__name__: maker for maker in MAKERS}


def everything(**changed):
    """All tables, those named in `changed` put in place or, where None, left out."""
    tables = {name: make() for name, make in WHOLE.items()} | changed
    return {name: table for name, table in tables.items() if table is not None}


class Noted(dict):
    """Tables by name; in `read` the names that somebody asked for. To list them is an error."""

    def __init__(self, tables):
        super().__init__(tables)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.read.add(name)
        return super().__contains__(name)

    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)

    __iter__ = keys = values = items = __or__ = __ror__ = copy = None


@cache
def _judged():
    """(claim, names of the tables that it reads, its rows of the tables as made), of each claim."""
    found = []
    for name in DRAFT_ORDER:
        for claim in import_module(f"relax.experiments.{name}.claims").CLAIMS:
            tables = Noted(everything())
            rows = list(claim(tables))
            found.append((claim, tables.read, rows))
    return found


def verdicts(**changed):
    """Verdict by claim. Only what reads a changed table is judged anew: the rest cannot change."""
    tables = everything(**changed)
    judged = [claim(tables) if read & changed.keys() else rows for claim, read, rows in _judged()]
    return stack([row for rows in judged for row in rows]).set_index("claim").verdict


@cache
def as_made(without=None):
    """Verdicts of the tables as made, or of all but one."""
    if without is None:
        return judge_claims(everything()).set_index("claim").verdict
    return verdicts(**{without: None})
