"""Packed runs read back: each checked, then all of them stacked as one run's tables would be.

Two packed runs of one data set and model stand as seeds, rates and estimators of one experiment
only where their settings agree, no run is in both, and both were measured along the training with
one estimator (`vae.variance.trajectory`); otherwise the later one's rows get the run's name behind
that of their data set, as "mnist (mine)", and so panels, rows and claims of their own.
What is an estimator's own (`OF_AN_ESTIMATOR`) needs to agree within each estimator alone, as each
is compared at what suits it best; the column `settings` says where estimators differ in it. How
long the runs were to be is a setting of all: of rates that ran for longer or shorter, the longest
would look best.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from relax.errors import DataError
from relax.runs.archives import JOBS, PROVENANCE, VAE_TABLES, check, tables_of
from relax.runs.provenance import NULL

RUN_OF_VAE = ["dataset", "model", "estimator", "learning_rate", "seed"]
RUN_OF_POLICY = ["task", "estimator", "learning_rate", "surrogate_learning_rate", "seed"]
# What a table must at least have, to be what its name says.
COLUMNS = {
    "training": [*RUN_OF_VAE, "noise", "step", "epoch", "train_elbo", "valid_elbo"],
    "best": [*RUN_OF_VAE, "noise", "step", "valid_elbo", "valid_bound", "test_bound"],
    "variance": ["dataset", "model", "trajectory", "estimator", "seed", "step"],
    "midtraining": ["dataset", "model", "trajectory", "estimator", "surrogate", "seed", "step"],
    "gradients": ["dataset", "model", "trajectory", "estimator", "surrogate", "seed", "cosine"],
    "assumptions": ["dataset", "model", "trajectory", "estimator", "seed", "share"],
    "pictures": ["dataset", "model", "kind", "image", "row", "column", "value"],
    "policies": [*RUN_OF_POLICY, "environment", "episode", "frame", "reward"],
    "shown": [*RUN_OF_POLICY, "step"],
}
JOB_COLUMNS = ["dataset", "model", "estimator", "learning_rate", "seeds", "steps", "planned"]
JOB_COLUMNS += ["finished", "processor_seconds", "wall_seconds", "interruptions"]
# Of the configuration of the VAE, what spans runs, measures them, or changes no result.
NOT_OF_A_RUN = ("datasets", "models", "estimators", "learning_rates", "learning_rates_per_job")
NOT_OF_A_RUN += ("seeds", "seeds_per_job", "save_every", "checkpoints", "bound_samples", "compile")
NOT_OF_A_RUN += ("variance", "midtraining")
# Of the rest, what belongs to an estimator, not to the problem: keys that begin so.
OF_AN_ESTIMATOR = ("surrogate.", "surrogate_", "pretraining_steps")
# Keys that are younger than the first packed runs, with what a run was that does not name them.
YOUNGER = {
    "latent_kind": "bernoulli",
    "outcomes": "10",
    "surrogate.samples": "2",
    "surrogate.draws": "10",
}


class Packed(NamedTuple):
    """A packed run: name, tables by name, jobs, {(topic, item): value} of its provenance."""

    name: str
    tables: dict
    jobs: pd.DataFrame
    facts: dict

    @property
    def settings(self):
        """{key under `vae`: value, as text} of what makes the VAE's runs what they are."""
        return YOUNGER | {
            item.removeprefix("vae."): value
            for (topic, item), value in self.facts.items()
            if topic == "config" and item.startswith("vae.")
            if item.split(".")[1] not in NOT_OF_A_RUN
        }

    @property
    def latents(self):
        """{} where the VAE's latents are bits; else {"latents": what they are, as "200 x 10"}."""
        kind, outcomes = (self.settings[key] for key in ("latent_kind", "outcomes"))
        if kind != "categorical":
            return {}
        return {"latents": f"{self.settings['latents']} x {outcomes}"}

    def solved(self, task):
        """The mean reward above which the task counts as solved; NaN where none is set."""
        key = f"rl.environments.{task}.solved"
        said = self.facts.get(("config", key))
        if said is None:
            raise DataError(f"the provenance of the packed run '{self.name}' lacks {key}")
        return np.nan if said == NULL else float(said)

    @property
    def problems(self):
        """(data set, model) of each of the VAE's training tables."""
        if "training" not in self.tables:
            return []
        pairs = self.tables["training"][["dataset", "model"]].drop_duplicates()
        return list(pairs.itertuples(index=False, name=None))


def read_packed(folder):
    """The packed run in a folder.

    Raises:
        DataError: a file is damaged, missing, a stranger, or lacks a column; it is named.
    """
    folder = Path(folder)
    check(folder)
    tables = {name: _read(folder / f"{name}.csv.gz", COLUMNS[name]) for name in tables_of(folder)}
    jobs = _read(folder / JOBS, JOB_COLUMNS)
    facts = _read(folder / PROVENANCE, ["topic", "item", "value"], dtype=str)
    known = {(row.topic, row.item): row.value for row in facts.dropna().itertuples()}
    return Packed(folder.name, tables, jobs, known)


def stack(folders, tried=()):
    """{name: table} of packed runs together.

    Args:
        folders: of the runs that figures and tables show.
        tried: of runs beside them, for the tables of runs and of rates alone.

    Returns:
        The tables of the runs by name, `training` with the columns `run`, `planned`, how many steps
        each was to have, `settings`, in what a run's settings differ from those of the first one of
        its data set and model, and where any are no bits `latents`, what those are; `policies` with
        the column `solved`, the reward above which the run's task counts as solved; `tried`:
        training rows of all these runs; `jobs`: of all these runs, one row a job with `run`,
        `settings`, `latents`, its scores (`_scores`), and `drawn`, whether it is one of the runs
        that figures show.

    Raises:
        DataError: as `read_packed`; a policy's run is in two packed runs, or the provenance of its
            packed run does not say when its task counts as solved.
    """
    usual = {}  # of each data set and model, the settings of the first run
    runs = [_described(read_packed(folder), usual, True) for folder in folders]
    beside = [_described(read_packed(folder), usual, False) for folder in tried]
    made = {"tried": _tried([*runs, *beside])}
    runs = _apart(runs)
    for name in COLUMNS:
        parts = [run.tables[name] for run in runs if name in run.tables]
        if parts:
            made[name] = pd.concat(parts, ignore_index=True)
    made["jobs"] = pd.concat([run.jobs for run in [*runs, *beside]], ignore_index=True)
    if "policies" in made:
        twice = made["policies"].duplicated([*RUN_OF_POLICY, "episode"])
        if twice.any():
            task = made["policies"][twice].task.iloc[0]
            raise DataError(f"two of the packed runs hold the same run of the task '{task}'")
    return made


def _read(path, columns, **how):
    try:
        table = pd.read_csv(path, **how)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no table: {error}") from None
    if missing := [name for name in columns if name not in table]:
        raise DataError(f"{path} has no column '{missing[0]}': it is not what its name says")
    return table


def _described(run, usual, drawn):
    """The run with what `stack` says of it in its training rows and its jobs.

    Args:
        usual: {(data set, model): settings of the first run}; this run's are added where it is it.
    """
    differs = {
        problem: _difference(usual.setdefault(problem, run.settings), run.settings)
        for problem in run.problems
    }

    def settings(rows):
        pairs = zip(rows.dataset, rows.model, strict=True)
        own = {"run": run.name, "settings": [differs.get(pair, "") for pair in pairs]}
        return rows.assign(**own, **run.latents)

    jobs = settings(run.jobs).assign(drawn=drawn)
    tables = dict(run.tables)
    if "training" in tables:
        training = settings(tables["training"]).assign(planned=0)
        for job in jobs.itertuples():
            training.loc[_own(training, job), "planned"] = job.planned
        tables["training"] = training
    if "policies" in tables:
        task = tables["policies"].task
        bars = {name: run.solved(name) for name in task.unique()}
        tables["policies"] = tables["policies"].assign(solved=task.map(bars))
    return run._replace(tables=tables, jobs=jobs.assign(**_scores(jobs, run.tables)))


def _own(table, job):
    """Which rows are of this job."""
    first, _, last = str(job.seeds).partition("-")
    own = (table.dataset == job.dataset) & (table.model == job.model)
    own &= (table.estimator == job.estimator) & (table.learning_rate == job.learning_rate)
    return own & table.seed.between(int(first), int(last or first))


def _scores(jobs, tables):
    """Of each of a run's jobs the highest ELBOs, and the bound of the model that validates best:
    means over its seeds, nats an image; NaN without any."""

    def highest(name, column):
        if name not in tables:
            return np.nan
        own = [tables[name][_own(tables[name], job)] for job in jobs.itertuples()]
        return [rows.groupby("seed")[column].max().mean() for rows in own]

    return {
        "best_train_elbo": highest("training", "train_elbo"),
        "best_valid_elbo": highest("training", "valid_elbo"),
        "valid_bound": highest("best", "valid_bound"),
    }


def _apart(runs):
    """The runs, with other names for the data sets of those that another one's cannot join."""
    seen, done = {}, []
    for run in runs:
        common, particular = _parted(run.settings)
        renamed = set()
        for problem in run.problems:
            training = run.tables["training"]
            rows = training[(training.dataset == problem[0]) & (training.model == problem[1])]
            own = set(rows[RUN_OF_VAE[2:]].itertuples(index=False, name=None))
            mine = dict.fromkeys(rows.estimator, particular)
            path = _trajectories(run, problem)
            settings, theirs, there, paths = seen.setdefault(problem, (common, {}, set(), set()))
            agree = all(theirs.get(who, value) == value for who, value in mine.items())
            agree &= paths == path or not (paths and path)
            if settings != common or not agree or there & own:
                renamed.add(problem)
            else:
                there |= own
                theirs |= mine
                paths |= path
        done.append(_renamed(run, renamed))
    return done


def _trajectories(run, problem):
    """Along the training with which estimators the run has measured anything of this problem."""
    names = set()
    for table in run.tables.values():
        if "trajectory" in table:
            own = (table.dataset == problem[0]) & (table.model == problem[1])
            names |= set(table.trajectory[own])
    return names


def _parted(settings):
    """Settings of the problem, and those of the estimators."""
    own = {key: value for key, value in settings.items() if key.startswith(OF_AN_ESTIMATOR)}
    return {key: value for key, value in settings.items() if key not in own}, own


def _renamed(run, problems):
    def other(table):
        if "model" not in table or not problems:
            return table
        own = [pair in problems for pair in zip(table.dataset, table.model, strict=True)]
        apart = table.dataset.astype(str) + f" ({run.name})"
        return table.assign(dataset=table.dataset.where(~pd.Series(own, table.index), apart))

    tables = {n: other(t) if n in VAE_TABLES else t for n, t in run.tables.items()}
    return run._replace(tables=tables, jobs=other(run.jobs))


def _tried(runs):
    """Training rows of all these runs, whatever joins."""
    parts = [run.tables["training"] for run in runs if "training" in run.tables]
    if not parts:
        return pd.DataFrame(columns=[*COLUMNS["training"], "run", "settings"])
    return pd.concat(parts, ignore_index=True)


def _difference(usual, own):
    """In words, what differs but for how long the runs are; empty where nothing does."""
    changed = {
        key: own.get(key, "~")
        for key in sorted({*usual, *own})
        if key != "steps" and own.get(key) != usual.get(key)
    }
    return ", ".join(f"{key}: {value}" for key, value in changed.items())
