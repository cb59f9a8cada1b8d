"""Packing a run: its tables, finished or as far as they came, with what made them.

The random numbers of a run are addressed by step, so a packed table is what anyone gets from the
commit and the configuration that stand beside it.
"""

import os
import platform
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from relax.errors import DataError
from relax.runs import provenance
from relax.runs.archives import JOBS, POLICY_TABLES, PROVENANCE, SUMS, VAE_TABLES, check, seal
from relax.runs.config import OF_THE_MACHINE, configuration
from relax.runs.environments import DRAWN
from relax.runs.jobs import EARLIER, SPENT
from relax.runs.tables import read_tables, write_table

VAE_JOB = "vae/*/*/*/lr*/seeds*"
POLICY_JOB = "rl/*/*/lr*/c*/seeds*"
NUMBER = r"([0-9.]+|nan)"
COLUMNS = ["job", "dataset", "model", "estimator", "learning_rate", "seeds", "steps", "planned"]
COLUMNS += ["finished", "processor_seconds", "wall_seconds", "interruptions", "machine"]


def pack(results, target, configfiles=(), note=None, bounds=True):
    """Pack the VAE's and the policies' runs of a folder of results into the folder `target`.

    A packed run that is there already is replaced. Every row is kept.

    Args:
        results: the preset's folder, as `results/long`.
        configfiles: what the run was started with (`--configfile`); needed unless the whole run has
            ended, when its table `provenance` has the configuration.
        note: a sentence for people, kept with the provenance.
        bounds: whether to score the best model so far of a run that has not ended (minutes at the
            paper's scale; needs its prepared data set).

    Returns:
        The table of jobs, and of each table how many rows it has.

    Raises:
        DataError: there is nothing to pack, or something that is no packed run is in the way.
    """
    results, target = Path(results), Path(target)
    if target.exists() and not (target / SUMS).exists():
        raise DataError(f"{target} is there and is no packed run: name another folder")
    facts = _facts(results, configfiles)
    config = facts["config"]
    tables, jobs = {}, []
    for folder in sorted(results.glob(VAE_JOB)):
        found, job = _vae_job(results, folder, config, bounds)
        _add(tables, jobs, found, job)
    for folder in sorted(results.glob(POLICY_JOB)):
        found, job = _policy_job(results, folder, config)
        _add(tables, jobs, found, job)
    if not jobs:
        raise DataError(
            f"{results} has no table and no readable state of a VAE's or a policy's run: is it the "
            f"folder of a preset?"
        )
    for key in OF_THE_MACHINE:
        config.pop(key, None)
    facts["run"] = {"packed": time.strftime("%Y-%m-%d %H:%M %Z"), "rows": "all of them"}
    facts["run"] |= {"note": note} if note else {}
    jobs = pd.DataFrame(jobs, columns=COLUMNS)
    stacked = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    write_packed(target, stacked, jobs, provenance.tidy(facts))
    return jobs, {name: len(table) for name, table in stacked.items()}


def write_packed(target, tables, jobs, facts):
    """Write a packed run, whole or not at all; one of this name is replaced."""
    target = Path(target)
    making = target.with_name(f".{target.name}.packing")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name, table in tables.items():
        # Undated, so that the same tables are the same bytes.
        how = {"method": "gzip", "mtime": 0}
        path = making / f"{name}.csv.gz"
        table.to_csv(path, index=False, lineterminator="\n", compression=how)
    write_table(jobs, making / JOBS)
    write_table(facts, making / PROVENANCE)
    seal(making)
    check(making)
    shutil.rmtree(target, ignore_errors=True)
    making.rename(target)


def _add(tables, jobs, found, job):
    if found:
        jobs.append(job)
        for name, table in found.items():
            tables.setdefault(name, []).append(table)


def _facts(results, configfiles):
    """{topic: {item: value}}: the run's own provenance, or that of its project at this moment."""
    path = results / "tables" / PROVENANCE
    if path.exists() and not configfiles:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        groups = table[table.topic != "seconds"].groupby("topic", sort=False)
        return {topic: dict(zip(rows.item, rows.value)) for topic, rows in groups}
    if not configfiles:
        raise DataError(
            f"{path} is not there, as the whole run has not ended: name what the run was started "
            f"with, --configfile FILE"
        )
    root = next((p for p in results.resolve().parents if (p / "config.yaml").exists()), None)
    if root is None:
        raise DataError(f"no folder around {results} has a config.yaml: whose run is it?")
    return {
        "code": provenance.code(root),
        "package": provenance.packages(),
        "config": dict(provenance.leaves(configuration(root, configfiles))),
    }


def _vae_job(results, folder, config, bounds):
    """Tables and row of `jobs` of one job of the VAE."""
    _, dataset, model, estimator, rate, seeds = folder.relative_to(results).parts
    ended = [name for name in VAE_TABLES if (folder / f"{name}.csv").exists()]
    tables = {name: read_tables(str(folder / f"{name}.csv")) for name in ended}
    job = {"dataset": dataset, "model": model} | _who(results, folder, estimator, rate, seeds)
    job["planned"] = int(config["vae.steps"])
    if "training" in tables:
        return tables, job | _ended(results, folder, tables["training"].step.max(), job["planned"])
    waiting = _waiting(folder)
    if waiting is None:
        return {}, job
    path, state = waiting
    tables = _so_far(results, job, config, state, bounds)
    job |= {"steps": state["step"], "finished": False}
    return tables, job | _spent(path, state["spent"]) | _machine(results, folder)


def _waiting(folder):
    """Path and content of an unfinished job's newest state; None where there is none."""
    if not (folder / "unfinished").is_dir():
        return None
    from relax.runs.resume import waiting_runs  # loads torch, which finished runs do not need

    states = waiting_runs(folder / "unfinished")
    if len(states) > 1:
        there = ", ".join(path.parent.name for path, _ in states)
        raise DataError(
            f"{folder / 'unfinished'} holds several runs ({there}), begun with different settings, "
            f"data or code: move those away that are not meant"
        )
    return states[0] if states else None


def _so_far(results, job, config, state, bounds):
    from relax.data.images import load_images
    from relax.experiments.vae.trainer import VAESettings
    from relax.experiments.vae.unfinished import tables_so_far

    who = (job["dataset"], job["model"], job["estimator"], job["learning_rate"], _seeds(job))
    categorical = config.get("vae.latent_kind") == "categorical"
    settings = replace(
        VAESettings(*who),
        latents=int(config["vae.latents"]),
        outcomes=int(config["vae.outcomes"]) if categorical else None,
        noise=config["vae.noise"],
        direct_gradient=config["vae.direct_gradient"] == "true",
        bound_samples=int(config["vae.bound_samples"]),
    )
    data = results / "data" / f"{job['dataset']}.npz"
    return tables_so_far(settings, state, load_images(data) if bounds else None)


def _policy_job(results, folder, config):
    """The same of one job of reinforcement learning; frames are its steps."""
    _, task, estimator, rate, own_rate, seeds = folder.relative_to(results).parts
    files = {name: folder / f"{file}.csv" for name, file in POLICY_TABLES.items()}
    if not config[f"rl.environments.{task}.id"].startswith(DRAWN):
        del files["shown"]
    tables = {name: read_tables(str(path)) for name, path in files.items() if path.exists()}
    job = {"dataset": task, "model": ""} | _who(results, folder, estimator, rate, seeds)
    job["planned"] = int(config[f"rl.environments.{task}.frames"])
    if "policies" in tables:
        return tables, job | _ended(results, folder, job["planned"], job["planned"])
    waiting = _waiting(folder)
    if waiting is None:
        return {}, job
    path, state = waiting
    from relax.experiments.control.training import ControlSettings
    from relax.experiments.control.unfinished import table_so_far

    settings = ControlSettings(
        task=task,
        id=config[f"rl.environments.{task}.id"],
        estimator=estimator,
        learning_rate=job["learning_rate"],
        surrogate_learning_rate=float(own_rate.removeprefix("c")),
        seeds=_seeds(job),
        noise=config[f"rl.environments.{task}.noise"],
    )
    table, frames = table_so_far(settings, state)
    job |= {"steps": min(frames, job["planned"]), "finished": False}
    return {"policies": table}, job | _spent(path, state["spent"]) | _machine(results, folder)


def _who(results, folder, estimator, rate, seeds):
    return {
        "job": str(folder.relative_to(results)),
        "estimator": estimator,
        "learning_rate": float(rate.removeprefix("lr")),
        "seeds": seeds.removeprefix("seeds"),
    }


def _seeds(job):
    first, _, last = job["seeds"].partition("-")
    return range(int(first), int(last) + 1)


def _ended(results, folder, steps, planned):
    """Of a job that has ended, what its log and Snakemake's benchmark say of its time."""
    log = _log(results, folder)
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    earlier = re.search(
        rf"^{re.escape(EARLIER)}{NUMBER} s(?:, {NUMBER} s of them computing)?, "
        rf"interrupted (\d+) times",
        text,
        re.MULTILINE,
    )
    last = re.search(rf"^{re.escape(SPENT)}{NUMBER} s", text, re.MULTILINE)
    wall, computing, times = (
        (float(earlier[1]), float(earlier[2] or "nan"), int(earlier[3]))
        if (earlier)
        else (0.0, 0.0, 0)
    )
    benchmark = results / "benchmarks" / f"{log.relative_to(results / 'logs').with_suffix('')}.tsv"
    own = pd.read_csv(benchmark, sep="\t").s.iloc[-1] if benchmark.exists() else np.nan
    return {
        "steps": int(steps),
        "finished": bool(steps >= planned),
        "processor_seconds": round(computing + (float(last[1]) if last else np.nan), 1),
        "wall_seconds": round(wall + own, 1),
        "interruptions": times,
    } | _machine(results, folder)


def _spent(state, spent):
    """Of a run that has not ended, what its state says of its time.

    Earlier versions of the code did not note processor time; of a run in its first leg that goes on
    at this moment, the system knows it.
    """
    computing = spent.get("processor", np.nan)
    if np.isnan(computing) and spent["legs"] == 1:
        computing = _computed_by(state.with_name("lock"))
    return {
        "processor_seconds": round(computing, 1),
        "wall_seconds": round(spent["seconds"], 1),
        "interruptions": spent["legs"] - 1,
    }


def _computed_by(lock):
    """Seconds of processor time of the process that holds the lock; NaN where nobody knows."""
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    found = re.fullmatch(r"process (\d+) on (.*)", text)
    if not found or found[2] != platform.node():
        return np.nan
    try:
        stat = Path(f"/proc/{found[1]}/stat").read_text(encoding="utf-8")
    except OSError:  # it has ended, or the system does not tell
        return np.nan
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _log(results, folder):
    return results / "logs" / folder.relative_to(results) / "training.log"


def _machine(results, folder):
    return {"machine": provenance.machine_of(_log(results, folder))}
