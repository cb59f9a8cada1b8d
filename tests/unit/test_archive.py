"""Packed runs: what comes out is what went in, and what is not whole is refused by name."""

import gzip
import io
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from unit import made_up
from unit.test_resume import Fragile, Killed
from unit.test_vae import images, settings  # noqa: F401
from workflow.project import ROOT

from relax.errors import ConfigError, DataError
from relax.experiments.archive.__main__ import main
from relax.experiments.archive.pack import pack
from relax.experiments.archive.stack import read_packed, stack
from relax.experiments.vae import training as vae_training
from relax.runs.archives import SUMS, find_packed, seal, tables_of
from relax.runs.jobs import EARLIER, MACHINE, SPENT
from relax.runs.provenance import leaves, tidy
from relax.runs.tables import write_table

SPLITS = ("train", "valid", "test")


def test_every_digit_comes_back(tmp_path):
    """Floats read back equal, and the same tables are the same bytes, whenever they are packed."""
    runs = [read_packed(made_up.packed(tmp_path / name)) for name in ("one", "two")]
    for table, expected in (("training", made_up.training(made_up.ELBOS, "mnist")),):
        pd.testing.assert_frame_equal(runs[0].tables[table], expected, check_exact=True)
    sums = [(tmp_path / name / SUMS).read_bytes() for name in ("one", "two")]
    assert sums[0] == sums[1]
    assert main(["check", str(tmp_path / "one")]) == 0


def damage(folder):
    path = folder / "training.csv.gz"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    return r"training\.csv\.gz is damaged"


def lose(folder):
    (folder / "best.csv.gz").unlink()
    return r"best\.csv\.gz is missing"


def add(folder):
    (folder / "notes.txt").write_text("mine")
    return r"notes\.txt is a stranger"


def add_and_seal(folder):
    (folder / "other.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    seal(folder)
    return r"other\.csv\.gz is no table of a packed run"


def mistake_for_another(folder):
    shutil.copy(folder / "jobs.csv", folder / "best.csv")
    write_table(pd.read_csv(folder / "jobs.csv"), folder / "best.csv")
    (folder / "best.csv.gz").write_bytes(gzip.compress((folder / "best.csv").read_bytes()))
    (folder / "best.csv").unlink()
    seal(folder)
    return r"best\.csv\.gz has no column"


def cut_and_seal(folder):
    path = folder / "training.csv.gz"
    path.write_bytes(path.read_bytes()[:60])
    seal(folder)
    return r"training\.csv\.gz is no table"


def spoil_sums(folder):
    (folder / SUMS).write_text("hello\n")
    return r"SHA256SUMS, line 1: not a checksum and a name"


HARMS = [damage, lose, add, add_and_seal, mistake_for_another, cut_and_seal, spoil_sums]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_what_is_not_whole_is_refused_by_name(tmp_path, harm, capsys):
    """In reading and in the command that checks."""
    folder = made_up.packed(tmp_path / "run")
    said = harm(folder)
    with pytest.raises(DataError, match=said):
        read_packed(folder)
    assert main(["check", str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err


def test_folders_are_found_by_name(tmp_path):
    """In the first place that has it; what is none is refused, with what there is."""
    for place in ("mine", "theirs"):
        made_up.packed(tmp_path / place / "run")
    made_up.packed(tmp_path / "theirs" / "other")
    places = [tmp_path / "mine", tmp_path / "theirs"]
    assert find_packed(["run", "other"], places) == [places[0] / "run", places[1] / "other"]
    assert tables_of(places[0] / "run") == ["training", "best"]
    with pytest.raises(ConfigError, match=r"runs\[0\]: there is no packed run 'rum'.*other, run"):
        find_packed(["rum"], places)
    with pytest.raises(ConfigError, match=r"runs\[1\]: two packed runs are called 'run'"):
        find_packed(["run", tmp_path / "theirs" / "run"], places)


def lay(results, run, log=()):
    """A folder of results as the pipeline leaves it, with one finished run of the VAE."""
    job = "vae/digits/linear1/relax/lr0.001/seeds0-1"
    for name, table in run.items():
        write_table(table, results / job / f"{name}.csv")
    (results / "logs" / job).mkdir(parents=True)
    lines = [f"{MACHINE}a machine", *log, f"{SPENT}12.50 s", "done"]
    (results / "logs" / job / "training.log").write_text("\n".join(lines) + "\n")
    (results / "benchmarks" / job).mkdir(parents=True)
    (results / "benchmarks" / job / "training.tsv").write_text("s\th:m:s\n20.0\t0:00:20\n")
    facts = {"config": dict(leaves(made_up.CONFIG)), "code": {"commit": "1" * 40}}
    write_table(tidy(facts), results / "tables" / "provenance.csv")


def test_a_finished_run_is_packed_with_its_times(tmp_path):
    """Wall and processor time over all legs, and how often it was interrupted."""
    training = made_up.training({("relax", 0): [-9.0] * 4, ("relax", 1): [-8.0] * 4})
    log = [f"{EARLIER}100.0 s, 90.0 s of them computing, interrupted 2 times"]
    lay(tmp_path / "results", {"training": training, "best": made_up.best(training)}, log)
    jobs, rows = pack(tmp_path / "results", tmp_path / "packed", note="by hand")
    (job,) = jobs.itertuples()
    assert (job.wall_seconds, job.processor_seconds, job.interruptions) == (120, 102.5, 2)
    assert (job.steps, job.planned, job.finished, job.machine) == (40, 40, True, "a machine")
    assert rows == {"training": 8, "best": 2}
    run = read_packed(tmp_path / "packed")
    pd.testing.assert_frame_equal(run.tables["training"], training, check_exact=True)
    assert run.facts["code", "commit"] == "1" * 40
    assert run.facts["run", "note"] == "by hand"


def test_an_unfinished_run_is_packed_as_far_as_it_came(images, tmp_path):  # noqa: F811
    """Its rows are the whole run's until then; its model is scored as at an end."""
    common = {"estimator": "relax", "model": "linear2", "steps": 40}
    whole, _ = vae_training.train(settings(**common), images, {})
    results = tmp_path / "project" / "results" / "mine"
    own = settings(**common)
    last = own.seeds[-1]
    folder = results / f"vae/toy/linear2/relax/lr{own.learning_rate}/seeds{own.seeds[0]}-{last}"
    unfinished = Fragile(folder / "unfinished" / "abc", 23, io.StringIO())
    with pytest.raises(Killed):
        vae_training.train(own, images, {}, unfinished=unfinished)
    data = {split: getattr(images, split).numpy().astype(np.uint8) for split in SPLITS}
    (results / "data").mkdir()
    np.savez(results / "data" / "toy.npz", **data, shape=np.array(images.shape))
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["vae"] |= made_up.CONFIG["vae"]
    config["vae"] |= {"latents": own.latents, "bound_samples": own.bound_samples}
    (tmp_path / "project" / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "mine.yaml").write_text("preset: mine\ndata: {mirror: /home/me/data}\n")
    with pytest.raises(DataError, match="name what the run was started with, --configfile"):
        pack(results, tmp_path / "packed")
    jobs, _ = pack(results, tmp_path / "packed", [tmp_path / "mine.yaml"])
    (job,) = jobs.itertuples()
    assert (job.steps, job.planned, job.finished, job.interruptions) == (23, 40, False, 0)
    assert job.processor_seconds > 0
    run = read_packed(tmp_path / "packed")
    assert "/home/me" not in (tmp_path / "packed" / "provenance.csv").read_text()
    so_far = whole[whole.step <= 23]
    assert 0 < len(so_far) < len(whole)
    pd.testing.assert_frame_equal(run.tables["training"], made_up.as_read(so_far), check_exact=True)
    stopped = settings(**common | {"steps": int(so_far.step.max())})
    best = vae_training.train(stopped, images, {})[1]
    pd.testing.assert_frame_equal(run.tables["best"], made_up.as_read(best), check_exact=True)
    assert set(run.tables["best"].seed) == set(own.seeds)
    assert (run.tables["best"].valid_bound >= run.tables["best"].valid_elbo).all()
    packed = stack([tmp_path / "packed"])["training"]
    assert set(packed.planned) == {40}


def test_nothing_in_the_way_is_removed(tmp_path):
    """A folder that is no packed run stays; one that is, is replaced; no run is an error."""
    training = made_up.training({("relax", 0): [-9.0] * 4, ("relax", 1): [-8.0] * 4})
    lay(tmp_path / "results", {"training": training})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(DataError, match="is no packed run: name another folder"):
        pack(tmp_path / "results", tmp_path / "mine")
    for _ in range(2):
        pack(tmp_path / "results", tmp_path / "packed")
    assert main(["pack", str(tmp_path / "mine"), str(tmp_path / "packed")]) == 1
    assert read_packed(tmp_path / "packed").tables["training"].equals(training)
