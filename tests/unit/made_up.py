"""Made-up tables of the toys and the discrete VAE, small enough to check by hand."""

import io

import numpy as np
import pandas as pd

from relax.experiments.archive.pack import COLUMNS, write_packed
from relax.runs.provenance import leaves, tidy

RUN = ["dataset", "model", "estimator", "learning_rate", "noise", "direct_gradient", "seed"]


def training(runs, dataset="digits", model="linear1", rate=0.001):
    """Training tables; `runs`: validation ELBOs by epoch, by estimator and seed."""
    rows = [
        (dataset, model, name, rate, "coupled", True, seed, 10 * epoch, epoch, elbo + 0.5, elbo)
        for (name, seed), elbos in runs.items()
        for epoch, elbo in enumerate(elbos, start=1)
    ]
    return pd.DataFrame(rows, columns=[*RUN, "step", "epoch", "train_elbo", "valid_elbo"])


def best(training, bound=1.0):
    """The model of each run that validates best; its bounds are `bound` above its ELBOs."""
    rows = training.loc[training.groupby(RUN).valid_elbo.idxmax()].drop(columns="train_elbo")
    test = rows.valid_elbo - 0.25 * rows.seed
    return rows.assign(
        valid_bound=rows.valid_elbo + bound,
        test_elbo=test,
        test_bound=test + bound,
        bound_samples=100,
    )


PAIRS = {
    ("rebar", "relaxed cost"): 0.02,
    ("relax", "network"): 0.5,
    ("relax", "relaxed cost + network"): 0.01,
    ("nvil", "baseline"): 0.6,
}


def midtraining(noise, dataset="digits", model="linear1", rate=0.001, pairs=PAIRS):
    """Tuning at a frozen checkpoint; `noise`: each seed's factor on every variance but REBAR's."""
    rows = [
        (dataset, model, "rebar", rate, "coupled", True, 50, *pair, seed, step, v * factor, v)
        for pair, last in pairs.items()
        for seed, factor in enumerate(noise)
        for step, v in ((0, 2.0), (100, last))
        for factor in [1.0 if pair[0] == "rebar" else factor]
    ]
    columns = "dataset model trajectory learning_rate noise direct_gradient checkpoint estimator "
    columns += "surrogate seed step encoder_variance logit_variance"
    return pd.DataFrame(rows, columns=columns.split())


def gradients(seeds=2, dataset="digits", model="linear1", rate=0.001):
    """Gradients compared halfway, of three estimators."""
    rows = [
        (dataset, model, "rebar", rate, "coupled", True, 50, *pair, seed, cosine, 1 / cosine, 0.0)
        for pair, cosine in (
            (("rebar", "relaxed cost"), 0.2),
            (("relax", "network"), 0.1),
            (("relax", "relaxed cost + network"), 0.3),
        )
        for seed in range(seeds)
    ]
    columns = "dataset model trajectory learning_rate noise direct_gradient checkpoint estimator "
    columns += "surrogate seed cosine relative_error squared_bias"
    return pd.DataFrame(rows, columns=columns.split())


def variance(variances, seeds=2, dataset="digits", model="linear1"):
    """Variances at two checkpoints, by estimator."""
    rows = [
        (
            dataset,
            model,
            "rebar",
            0.001,
            "coupled",
            True,
            name,
            seed,
            step,
            v * (1 + 0.01 * seed),
            v,
        )
        for name, v in variances.items()
        for seed in range(seeds)
        for step in (0, 40)
    ]
    columns = "dataset model trajectory learning_rate noise direct_gradient estimator seed step "
    return pd.DataFrame(rows, columns=[*columns.split(), "encoder_variance", "logit_variance"])


def pictures(dataset="digits", model="linear1", images=2, shape=(2, 3), seed=0):
    """Images whose pixels are their numbers / 100; reconstructions are at 0.5, samples at 0.9."""
    tables = []
    for kind, value in (("data", None), ("reconstruction", 0.5), ("sample", 0.9)):
        image, row, column = np.indices((images, *shape)).reshape(3, -1)
        values = (np.arange(image.size) / 100) if value is None else value
        tables.append(pd.DataFrame({"kind": kind, "image": image, "row": row, "column": column,
                                    "value": values}))  # fmt: skip
    run = {"dataset": dataset, "model": model, "estimator": "relax", "learning_rate": 0.001}
    return pd.concat(tables, ignore_index=True).assign(**run, seed=seed, step=40)


def toy(variances, targets=(0.45, 0.499), seeds=3):
    """Toy training over two steps; `variances` by estimator, measured and exact alike."""
    rows = [
        (name, t, "independent", seed, step, theta, t * t + (1 - 2 * t) * theta, v, v)
        for name, v in variances.items()
        for t in targets
        for seed in range(seeds)
        for step, theta in ((0, 0.5), (10_000, 0.1))
    ]
    columns = "estimator target noise seed step theta loss gradient_variance exact_variance"
    return pd.DataFrame(rows, columns=columns.split())


def relaxation(names, targets=(0.45, 0.499)):
    """Tuned relaxations, each a constant, and the cost."""
    rows = [
        (name, t, "independent", 0.5, 0, u, t * t if name != "cost" else (u > 0.5) - t, np.nan, 0.1)
        for name in (*names, "cost")
        for t in targets
        for u in (0.25, 0.75)
    ]
    columns = "estimator target noise theta seed u value unscaled exact_variance"
    return pd.DataFrame(rows, columns=columns.split())


def categorical(variances, outcomes=8, seeds=3):
    """Training of the categorical toy: the best outcome comes from 1/k to 3/4."""
    rows = [
        (name, outcomes, "coupled", seed, step, best, 1 - best, v)
        for name, v in variances.items()
        for seed in range(seeds)
        for step, best in ((0, 1 / outcomes), (1500, 0.75))
    ]
    columns = "estimator outcomes noise seed step best_probability loss gradient_variance"
    return pd.DataFrame(rows, columns=columns.split())


CONFIG = {
    "vae": {"steps": 40, "latents": 6, "noise": "coupled", "direct_gradient": True}
    | {"bound_samples": 3, "seeds": 2}
}
ELBOS = {("rebar", 0): [-30.0, -20.123456789, -19.0], ("relax", 0): [-31.0, -19.5, 0.1 + 0.2]}


def packed(folder, runs=ELBOS, config=CONFIG, planned=30, dataset="mnist", **more):
    """A packed run of `training`; returns its folder."""
    rows = training(runs, dataset)
    tables = {"training": rows, "best": best(rows)} | more
    jobs = [
        {"dataset": dataset, "model": "linear1", "estimator": name, "learning_rate": 0.001}
        | {"seeds": f"{seed}-{seed}", "steps": 10 * len(elbos), "planned": planned}
        | {"finished": 10 * len(elbos) >= planned, "job": f"vae/{name}/{seed}"}
        for (name, seed), elbos in runs.items()
    ]
    facts = tidy({"code": {"commit": "0" * 40}, "config": dict(leaves(config))})
    write_packed(folder, tables, pd.DataFrame(jobs, columns=COLUMNS), facts)
    return folder


def as_read(table):
    """The table as it comes back from a file."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))
