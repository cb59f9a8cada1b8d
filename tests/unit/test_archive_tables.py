"""Tables and figures of packed runs: what may stand together, and what is told of each."""

import numpy as np
import pandas as pd
from matplotlib.text import Text
from unit import made_up
from unit.test_published_curves import dotted
from unit.test_vae import images, settings  # noqa: F401

from relax.experiments.archive import rates_summary, summary
from relax.experiments.archive.stack import stack
from relax.experiments.claims_figures import placed
from relax.experiments.vae import published_summary
from relax.experiments.vae import summary as vae_summary
from relax.experiments.vae.claims import better_elbo, high_correlation
from relax.experiments.vae.figures import fig3_vae_training
from relax.presentation.common import own_settings
from relax.presentation.judge import FOR, NOT_TESTED


def test_runs_join_only_as_seeds_of_one_experiment(tmp_path):
    """The same run again, or other settings: apart, by the run's name. Other seeds: together."""
    first = made_up.packed(tmp_path / "first")
    again = made_up.packed(tmp_path / "again")
    seeds = made_up.packed(tmp_path / "seeds", {("rebar", 1): [-30.0, -21.0, -18.0]})
    other = {"vae": made_up.CONFIG["vae"] | {"batch": 7}}
    apart = made_up.packed(tmp_path / "apart", {("rebar", 2): [-30.0, -21.0, -18.0]}, other)
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


def test_runs_measured_along_different_trainings_stand_apart(tmp_path):
    """Another trajectory: apart, or a seed has two variances. The same one, or none: together."""

    def run(name, estimator, seed, **measured):
        runs = {(estimator, seed): [-30.0, -20.0, -19.0]}
        return made_up.packed(tmp_path / name, runs, **measured)

    levels = made_up.variance({"reinforce": 4.0, "rebar": 2.0, "relax": 1.0}, 1, "mnist")
    first = run("first", "rebar", 0, variance=levels)
    unmeasured = run("unmeasured", "nvil", 0)
    seeds = run("seeds", "rebar", 1, variance=levels.assign(seed=1))
    apart = run("apart", "relax", 0, variance=levels.assign(trajectory="relax"))
    tables = stack([first, unmeasured, seeds, apart])
    assert tables["training"].groupby("run").dataset.unique().map(list).to_dict() == {
        "first": ["mnist"],
        "unmeasured": ["mnist"],
        "seeds": ["mnist"],
        "apart": ["mnist (apart)"],
    }
    paths = tables["variance"].groupby("dataset").trajectory.unique().map(list).to_dict()
    assert paths == {"mnist": ["rebar"], "mnist (apart)": ["relax"]}
    values = {row["claim"]: row["value"] for row in high_correlation(tables)}
    assert len(values) == 2
    np.testing.assert_allclose(list(values.values()), 0.5)


SURROGATE = {"temperature": 0.5, "hidden": [200]}
OWN = {"vae": made_up.CONFIG["vae"] | {"surrogate": SURROGATE, "pretraining_steps": 0}}
COLDER = {"vae": OWN["vae"] | {"surrogate": SURROGATE | {"temperature": 0.2}}}
CONCRETE = {("concrete", 0): [-30.0, -22.0, -20.0]}


def test_each_estimator_may_have_settings_of_its_own(tmp_path):
    """Another estimator joins with another λ, and all say so; another batch or length does not."""
    first = made_up.packed(tmp_path / "first", config=OWN)
    cold = made_up.packed(tmp_path / "cold", CONCRETE, COLDER)
    seeds = made_up.packed(tmp_path / "seeds", {("concrete", 1): [-30.0, -22.0, -21.0]}, COLDER)
    warm = made_up.packed(tmp_path / "warm", {("concrete", 2): [-30.0, -25.0, -24.0]}, OWN)
    batch = {"vae": COLDER["vae"] | {"batch": 7}}
    other = made_up.packed(tmp_path / "other", {("nvil", 0): [-30.0, -25.0, -24.0]}, batch)
    longer = {"vae": OWN["vae"] | {"steps": 60}}
    long = made_up.packed(tmp_path / "long", {("muprop", 0): [-30.0] * 6}, longer, planned=60)
    runs = [first, cold, seeds, warm, other, long]
    tables = stack(runs, [made_up.packed(tmp_path / "beside", CONCRETE, OWN)])
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
    whole = vae_summary.summarise(made_up.as_read(training), made_up.as_read(tables["best"]))
    shown = (
        vae_summary.for_people(made_up.as_read(whole)).set_index(["data set", "estimator"]).scale
    )
    assert shown["mnist", "Concrete"] == "2 seeds, 30 steps; surrogate.temperature: 0.2"
    assert shown["mnist", "REBAR"] == "1 seed, 30 steps"


def test_the_table_of_runs(tmp_path):
    """A row a job, the published numbers beside it, also where the data set stands apart."""
    short = {("rebar", 0): [-30.0, -20.0]}
    tables = stack([made_up.packed(tmp_path / "one"), made_up.packed(tmp_path / "mine", short)])
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
    tables = stack([made_up.packed(tmp_path / "run", runs, planned=50)])
    rows = {row["claim"]: row for row in better_elbo(tables)}
    claim = "RELAX has a better {} ELBO than REBAR on the VAE (mnist, linear1)"
    row = rows[claim.format("training")]
    assert (row["value"], row["verdict"]) == (5.0, FOR)
    assert np.isnan(row["ci_low"])
    assert row["scale"] == "1 seed, 20 steps of 50, unfinished, coupled noise"
    assert rows[claim.format("validation")]["verdict"] == NOT_TESTED
    ended = stack([made_up.packed(tmp_path / "ended")])  # the control: two runs of one length
    rows = {row["claim"]: row for row in better_elbo(ended)}
    assert rows[claim.format("validation")]["verdict"] == FOR
    assert "unfinished" not in rows[claim.format("validation")]["scale"]


def test_a_run_apart_has_a_heading_of_its_own_in_figure_0(tmp_path):
    """Though its data set's name has parentheses of its own."""
    made_up.packed(tmp_path / "first")
    tables = stack([tmp_path / "first", made_up.packed(tmp_path / "again")])
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
    other = made_up.packed(tmp_path / "many", config={"vae": made_up.CONFIG["vae"] | kind})
    tables = stack([made_up.packed(tmp_path / "bits"), other])
    told = {"mnist": np.nan, "mnist (many)": "20 x 10"}
    training = made_up.as_read(tables["training"])
    assert training.groupby("dataset").latents.first().equals(pd.Series(told, name="latents"))
    runs = made_up.as_read(summary.summarise(tables["jobs"]))
    rates = made_up.as_read(rates_summary.summarise(tables["tried"].assign(epoch=50.0)))
    whole = vae_summary.summarise(training, made_up.as_read(tables["best"]))
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
