"""Packed runs: what comes out is what went in, and what is not whole is refused by name."""

import gzip
import io
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text
from unit import made_up
from unit.test_published_curves import dotted
from unit.test_resume import Fragile, Killed
from unit.test_vae import images, settings  # noqa: F401
from workflow.project import ROOT

from relax.errors import ConfigError, DataError
from relax.experiments.archive import rates_summary, summary
from relax.experiments.archive.__main__ import main
from relax.experiments.archive.pack import COLUMNS, pack, write_packed
from relax.experiments.archive.stack import read_packed, stack
from relax.experiments.claims_figures import placed
from relax.experiments.vae import published_summary
from relax.experiments.vae import summary as vae_summary
from relax.experiments.vae import training as vae_training
from relax.experiments.vae.claims import better_elbo
from relax.experiments.vae.figures import fig3_vae_training
from relax.presentation.common import own_settings
from relax.presentation.judge import FOR, NOT_TESTED
from relax.runs.archives import SUMS, find_packed, seal, tables_of
from relax.runs.jobs import EARLIER, MACHINE, SPENT
from relax.runs.provenance import leaves, tidy
from relax.runs.tables import write_table

CONFIG = {
    "vae": {"steps": 40, "latents": 6, "noise": "coupled", "direct_gradient": True}
    | {"bound_samples": 3, "seeds": 2}
}
ELBOS = {("rebar", 0): [-30.0, -20.123456789, -19.0], ("relax", 0): [-31.0, -19.5, 0.1 + 0.2]}


def made(folder, runs=ELBOS, config=CONFIG, planned=30, dataset="mnist", **more):
    """A packed run of made-up training tables; returns its folder."""
    training = made_up.training(runs, dataset)
    tables = {"training": training, "best": made_up.best(training)} | more
    jobs = [
        {"dataset": dataset, "model": "linear1", "estimator": name, "learning_rate": 0.001}
        | {"seeds": f"{seed}-{seed}", "steps": 10 * len(elbos), "planned": planned}
        | {"finished": 10 * len(elbos) >= planned, "job": f"vae/{name}/{seed}"}
        for (name, seed), elbos in runs.items()
    ]
    facts = tidy({"code": {"commit": "0" * 40}, "config": dict(leaves(config))})
    write_packed(folder, tables, pd.DataFrame(jobs, columns=COLUMNS), facts)
    return folder


def test_every_digit_comes_back(tmp_path):
    """Floats read back equal, and the same tables are the same bytes, whenever they are packed."""
    runs = [read_packed(made(tmp_path / name)) for name in ("one", "two")]
    for table, expected in (("training", made_up.training(ELBOS, "mnist")),):
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
    folder = made(tmp_path / "run")
    said = harm(folder)
    with pytest.raises(DataError, match=said):
        read_packed(folder)
    assert main(["check", str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err


def test_folders_are_found_by_name(tmp_path):
    """In the first place that has it; what is none is refused, with what there is."""
    for place in ("mine", "theirs"):
        made(tmp_path / place / "run")
    made(tmp_path / "theirs" / "other")
    places = [tmp_path / "mine", tmp_path / "theirs"]
    assert find_packed(["run", "other"], places) == [places[0] / "run", places[1] / "other"]
    assert tables_of(places[0] / "run") == ["training", "best"]
    with pytest.raises(ConfigError, match=r"runs\[0\]: there is no packed run 'rum'.*other, run"):
        find_packed(["rum"], places)
    with pytest.raises(ConfigError, match=r"runs\[1\]: two packed runs are called 'run'"):
        find_packed(["run", tmp_path / "theirs" / "run"], places)


def test_runs_join_only_as_seeds_of_one_experiment(tmp_path):
    """The same run again, or other settings: apart, by the run's name. Other seeds: together."""
    first = made(tmp_path / "first")
    again = made(tmp_path / "again")
    seeds = made(tmp_path / "seeds", {("rebar", 1): [-30.0, -21.0, -18.0]})
    other = {"vae": CONFIG["vae"] | {"batch": 7}}
    apart = made(tmp_path / "apart", {("rebar", 2): [-30.0, -21.0, -18.0]}, other)
    tables = stack([first, again, seeds, apart])
    training = tables["training"]
    groups = training.groupby("run").dataset.unique().map(list).to_dict()
    assert groups == {
        "first": ["mnist"],
        "again": ["mnist (again)"],
        "seeds": ["mnist"],
        "apart": ["mnist (apart)"],
    }
    assert set(tables["best"].dataset) == set(training.dataset) == set(tables["jobs"].dataset)
    tried = tables["tried"].groupby("run").settings.first()
    assert tried.to_dict() == {"first": "", "again": "", "seeds": "", "apart": "batch: 7"}


SURROGATE = {"temperature": 0.5, "hidden": [200]}
OWN = {"vae": CONFIG["vae"] | {"surrogate": SURROGATE, "pretraining_steps": 0}}
COLDER = {"vae": OWN["vae"] | {"surrogate": SURROGATE | {"temperature": 0.2}}}
CONCRETE = {("concrete", 0): [-30.0, -22.0, -20.0]}


def test_each_estimator_may_have_settings_of_its_own(tmp_path):
    """Another estimator joins with another λ, and all say so; another batch or length does not."""
    first = made(tmp_path / "first", config=OWN)
    cold = made(tmp_path / "cold", CONCRETE, COLDER)
    seeds = made(tmp_path / "seeds", {("concrete", 1): [-30.0, -22.0, -21.0]}, COLDER)
    warm = made(tmp_path / "warm", {("concrete", 2): [-30.0, -25.0, -24.0]}, OWN)
    batch = {"vae": COLDER["vae"] | {"batch": 7}}
    other = made(tmp_path / "other", {("nvil", 0): [-30.0, -25.0, -24.0]}, batch)
    longer = {"vae": OWN["vae"] | {"steps": 60}}
    long = made(tmp_path / "long", {("muprop", 0): [-30.0] * 6}, longer, planned=60)
    runs = [first, cold, seeds, warm, other, long]
    tables = stack(runs, [made(tmp_path / "beside", CONCRETE, OWN)])
    training = tables["training"]
    assert training.groupby("run").dataset.first().to_dict() == {
        "first": "mnist",
        "cold": "mnist",
        "seeds": "mnist",
        "warm": "mnist (warm)",
        "other": "mnist (other)",
        "long": "mnist (long)",
    }
    joined = training[training.dataset == "mnist"]
    assert own_settings(joined) == "Concrete with surrogate.temperature: 0.2"
    assert own_settings(joined[joined.estimator != "concrete"]) == ""
    assert own_settings(joined.drop(columns="settings")) == ""
    scales = {row["claim"]: row["scale"] for row in better_elbo(tables)}
    claim = "RELAX has a better training ELBO than {} on the VAE (mnist, linear1)"
    assert "temperature: 0.2" in scales[claim.format("Concrete")]
    assert "temperature" not in scales[claim.format("REBAR")]
    text = " ".join(words.get_text() for words in fig3_vae_training(training).findobj(Text))
    assert "mnist, linear1: Concrete with surrogate.temperature: 0.2" in text
    jobs = summary.summarise(tables["jobs"])
    beside = jobs[~jobs.drawn]
    assert list(beside.run) == ["beside"]
    assert list(beside.best_valid_elbo) == [-20.0]
    assert set(jobs[jobs.run == "cold"].settings) == {"surrogate.temperature: 0.2"}
    whole = vae_summary.summarise(as_read(training), as_read(tables["best"]))
    shown = vae_summary.for_people(as_read(whole)).set_index(["data set", "estimator"]).scale
    assert shown["mnist", "Concrete"] == "2 seeds, 30 steps; surrogate.temperature: 0.2"
    assert shown["mnist", "REBAR"] == "1 seed, 30 steps"


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
    facts = {"config": dict(leaves(CONFIG)), "code": {"commit": "1" * 40}}
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


def as_read(table):
    """The table as it comes back from a file."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


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
    config["vae"] |= CONFIG["vae"]
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
    pd.testing.assert_frame_equal(run.tables["training"], as_read(so_far), check_exact=True)
    stopped = settings(**common | {"steps": int(so_far.step.max())})
    best = vae_training.train(stopped, images, {})[1]
    pd.testing.assert_frame_equal(run.tables["best"], as_read(best), check_exact=True)
    assert set(run.tables["best"].seed) == set(own.seeds)
    assert (run.tables["best"].valid_bound >= run.tables["best"].valid_elbo).all()
    packed = stack([tmp_path / "packed"])["training"]
    assert set(packed.planned) == {40}


SPLITS = ("train", "valid", "test")


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


def test_the_table_of_runs(tmp_path):
    """A row a job, the published numbers beside it, also where the data set stands apart."""
    short = {("rebar", 0): [-30.0, -20.0]}
    tables = stack([made(tmp_path / "one"), made(tmp_path / "mine", short)])
    table = summary.summarise(tables["jobs"])
    assert list(table.run) == ["one", "one", "mine"]
    assert list(table.finished) == [True, True, False]
    assert list(table.best_train_elbo) == [-18.5, 0.1 + 0.2 + 0.5, -19.5]
    assert list(table.valid_bound) == [-18.0, 0.1 + 0.2 + 1, -19.0]
    assert list(table.published_train_elbo) == [-111.6, -111.2, -111.6]
    assert list(table.published_valid_bound) == [-114.32, -113.62, -114.32]
    assert list(summary.for_people(table).iterations) == ["30", "30", "20 of 30, unfinished"]


def test_runs_that_had_not_ended_are_judged_as_far_as_both_came(tmp_path):
    """Training until the shorter one's last epoch, and it says so; kept models not at all."""
    runs = {("rebar", 0): [-30.0, -20.0, -10.0], ("relax", 0): [-30.0, -15.0]}
    tables = stack([made(tmp_path / "run", runs, planned=50)])
    rows = {row["claim"]: row for row in better_elbo(tables)}
    claim = "RELAX has a better {} ELBO than REBAR on the VAE (mnist, linear1)"
    row = rows[claim.format("training")]
    assert (row["value"], row["verdict"]) == (5.0, FOR)
    assert np.isnan(row["ci_low"])
    assert row["scale"] == "1 seed, 20 steps of 50, unfinished, coupled noise"
    assert rows[claim.format("validation")]["verdict"] == NOT_TESTED
    ended = stack([made(tmp_path / "ended")])  # the control: two runs of one length
    rows = {row["claim"]: row for row in better_elbo(ended)}
    assert rows[claim.format("validation")]["verdict"] == FOR
    assert "unfinished" not in rows[claim.format("validation")]["scale"]


def test_a_run_apart_has_a_heading_of_its_own_in_figure_0(tmp_path):
    """Though its data set's name has parentheses of its own."""
    made(tmp_path / "first")
    tables = stack([tmp_path / "first", made(tmp_path / "again")])
    claims = pd.DataFrame(better_elbo(tables))
    headings = {placed(claim) for claim in claims.itertuples()}
    assert {heading for heading, _ in headings} == {
        "Discrete VAE: mnist, linear1",
        "Discrete VAE: mnist (again), linear1",
    }
    assert len({words for _, words in headings}) == len(headings) / 2


def test_what_is_no_vae_of_bits_has_no_published_numbers(tmp_path):
    """Runs of categorical latents say so, and stand beside no number or curve that is of bits."""
    kind = {"latent_kind": "categorical", "latents": 20, "outcomes": 10}
    other = made(tmp_path / "many", config={"vae": CONFIG["vae"] | kind})
    tables = stack([made(tmp_path / "bits"), other])
    told = {"mnist": np.nan, "mnist (many)": "20 x 10"}
    training = as_read(tables["training"])
    assert training.groupby("dataset").latents.first().equals(pd.Series(told, name="latents"))
    runs = as_read(summary.summarise(tables["jobs"]))
    rates = as_read(rates_summary.summarise(tables["tried"].assign(epoch=50.0)))
    whole = vae_summary.summarise(training, as_read(tables["best"]))
    beside = published_summary.summarise(training)
    for table, column in (
        (runs, "published_train_elbo"),
        (runs, "published_valid_bound"),
        (whole, "published_train_elbo"),
        (whole, "published_epochs_to_rebar"),
    ):
        there = table.groupby("dataset")[column].apply(lambda cells: cells.notna().all())
        assert there.to_dict() == {"mnist": True, "mnist (many)": False}
        assert table[column].notna().sum() == 2
    own = rates[rates.run == "many"], rates[rates.run == "bits"]
    assert [rows.published_train_elbo.notna().tolist() for rows in own] == [[False] * 2, [True] * 2]
    assert set(beside.dataset) == {"mnist"}
    long = training.assign(epoch=training.epoch * 100)
    for kind, curves in (("mnist", 4), ("mnist (many)", 0)):  # of two, in two panels
        assert len(dotted(fig3_vae_training(long[long.dataset == kind]))) == curves
