"""Summaries of made-up tables, against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from unit import made_up

from relax.experiments.toy import summary as toy_summary
from relax.experiments.vae import midtraining_summary
from relax.experiments.vae import summary as vae_summary
from relax.experiments.vae.selection import epochs_to_rebar, select_learning_rate
from relax.presentation.common import rounded
from relax.presentation.published import (
    EPOCHS_TO_REBAR,
    NEVER,
    TRAIN_ELBO,
    VALID_BOUND,
    published_of,
)
from relax.runs.tables import read_tables, write_markdown, write_table

# Validation ELBOs by epoch. RELAX is as good as REBAR's best after 3 epochs with seed 0 (equal
# counts), after 1 with seed 1; REINFORCE after 4 with seed 0, and never with seed 1.
RUNS = {
    ("rebar", 0): (-25, -22, -21, -20),
    ("rebar", 1): (-25, -19, -24, -23),
    ("relax", 0): (-25, -21, -20, -19),
    ("relax", 1): (-19, -18, -18, -18),
    ("reinforce", 0): (-25, -25, -25, -20),
    ("reinforce", 1): (-25, -25, -25, -20),
}


def vae(runs=RUNS, **where):
    training = made_up.training(runs, **where)
    return vae_summary.summarise(training=training, best=made_up.best(training))


def test_the_best_learning_rate_is_selected_for_each_estimator():
    def run(name, rate, elbo):
        return made_up.training({(name, s): (elbo,) for s in (0, 1)}, rate=rate)

    table = pd.concat([run("rebar", 0.1, -30), run("rebar", 0.01, -20), run("relax", 0.1, -25)])
    chosen = select_learning_rate(table).groupby("estimator").learning_rate.unique().map(list)
    assert chosen.to_dict() == {"rebar": [0.01], "relax": [0.1]}
    rows = vae_summary.summarise(training=table, best=made_up.best(table)).set_index("estimator")
    assert rows.best_valid_elbo.to_dict() == {"rebar": -20, "relax": -25}
    assert rows.best_valid_bound.to_dict() == {"rebar": -19, "relax": -24}
    assert rows.best_train_elbo.to_dict() == {"rebar": -19.5, "relax": -24.5}


def test_epochs_to_rebar():
    table = epochs_to_rebar(made_up.training(RUNS))
    epochs = table.set_index(["estimator", "seed"]).epochs.to_dict()
    assert epochs == pytest.approx(
        {
            ("rebar", 0): 4,
            ("rebar", 1): 2,
            ("relax", 0): 3,
            ("relax", 1): 1,
            ("reinforce", 0): 4,
            ("reinforce", 1): np.nan,
        },
        nan_ok=True,
    )


def test_epochs_are_paired_within_a_data_set_and_model():
    """REBAR's best on another data set, or with a seed that RELAX lacks, is no goal."""
    other = made_up.training({("rebar", 0): (-90,), ("relax", 0): (-80,), ("relax", 7): (-1,)},
                             dataset="mnist")  # fmt: skip
    table = epochs_to_rebar(pd.concat([made_up.training(RUNS), other]))
    mnist = table[table.dataset == "mnist"]
    assert list(zip(mnist.estimator, mnist.seed, mnist.epochs, strict=True)) == [
        ("rebar", 0, 1),
        ("relax", 0, 1),
    ]
    assert len(table) == len(RUNS) + 2


def test_vae_summary():
    rows = vae().set_index("estimator")
    assert list(rows.index) == ["reinforce", "rebar", "relax"]
    relax = rows.loc["relax"]
    assert (relax.seeds, relax.steps, relax.bound_samples) == (2, 40, 100)
    assert relax.best_valid_elbo == -18.5
    assert relax.best_valid_elbo_se == pytest.approx(0.5)
    assert relax.best_train_elbo == -18
    assert relax.best_valid_bound == -17.5
    assert relax.test_elbo == pytest.approx(-18.625)  # -19 and -18 - 0.25
    assert relax.test_elbo_se == pytest.approx(0.375)
    assert relax.test_bound == pytest.approx(-17.625)
    assert rows.epochs_to_rebar.to_dict() == {"reinforce": 4, "rebar": 3, "relax": 2}
    assert rows.seeds_to_rebar.to_dict() == {"reinforce": 1, "rebar": 2, "relax": 2}
    assert rows.filter(like="published").isna().all(axis=None)


def test_a_run_that_never_gets_there_and_a_table_without_rebar():
    """Nobody there: no mean, and a count of zero. No REBAR: no count either."""
    worse = {key: elbos for key, elbos in RUNS.items() if key[0] != "reinforce"}
    worse |= {("reinforce", s): (-30, -30) for s in (0, 1)}
    never = vae(worse).set_index("estimator").loc["reinforce"]
    assert np.isnan(never.epochs_to_rebar)
    assert never.seeds_to_rebar == 0
    without = vae({key: elbos for key, elbos in RUNS.items() if key[0] != "rebar"})
    assert without[["epochs_to_rebar", "seeds_to_rebar"]].isna().all(axis=None)
    shown = vae_summary.for_people(without)
    assert set(shown["epochs to REBAR's best"]) == {""}


def test_published_numbers_stand_beside_their_rows():
    tables = [
        made_up.training(RUNS, dataset=dataset, model=model)
        for dataset, model in (("mnist", "linear2"), ("omniglot", "nonlinear"),
                               ("omniglot_standin", "linear2"))
    ]  # fmt: skip
    training = pd.concat(tables, ignore_index=True)
    rows = vae_summary.summarise(training=training, best=made_up.best(training))
    rows = rows.set_index(["dataset", "model", "estimator"]).filter(like="published")
    assert list(rows.loc["mnist", "linear2", "relax"]) == [-98.00, -100.85, 620]
    assert list(rows.loc["mnist", "linear2", "rebar"]) == [-98.22, -101.20, 900]
    assert list(rows.loc["omniglot", "nonlinear", "relax"]) == [-56.12, -128.20, NEVER]
    assert rows.loc["mnist", "linear2", "reinforce"].isna().all()
    assert rows.loc["omniglot_standin"].isna().all(axis=None)


def test_the_published_tables_are_whole():
    problems = {(d, m) for d in ("mnist", "omniglot") for m in ("linear1", "linear2", "nonlinear")}
    for table, names in (
        (TRAIN_ELBO, {"concrete", "nvil", "muprop", "rebar", "relax"}),
        (VALID_BOUND, {"rebar", "relax"}),
        (EPOCHS_TO_REBAR, {"rebar", "relax"}),
    ):
        assert set(table) == {(*problem, name) for problem in problems for name in names}


def test_the_authors_wide_decoder_stands_beside_their_own_estimators_alone():
    """The others' numbers are of other authors, whose decoder has the text's width."""
    for name, found in (("rebar", -81.01), ("relax", -78.13)):
        assert published_of(TRAIN_ELBO, ("mnist (mine)", "nonlinear_wide", name)) == found
    for name in ("concrete", "nvil", "muprop", "muprop_baseline", "reinforce"):
        assert math.isnan(published_of(TRAIN_ELBO, ("mnist", "nonlinear_wide", name)))
    assert published_of(TRAIN_ELBO, ("mnist", "nonlinear", "concrete")) == -102.2
    assert published_of(TRAIN_ELBO, ("mnist", "nonlinear", "muprop_baseline")) == -101.1


def test_vae_table_for_people(tmp_path):
    training = made_up.training(RUNS, dataset="mnist", model="nonlinear")
    table = vae_summary.summarise(training=training, best=made_up.best(training))
    write_table(table, tmp_path / "vae.csv")
    assert read_tables(str(tmp_path / "vae.csv")).published_epochs_to_rebar.max() == NEVER
    shown = rounded(vae_summary.for_people(table))
    relax = shown[shown.estimator == "RELAX"].iloc[0]
    assert relax["validation ELBO"] == "-18.50 ± 0.50"
    assert relax["validation bound (100)"] == "-17.50 ± 0.50"
    assert relax["published ELBO"] == "-78.13"
    assert relax["published validation"] == "-119.19"
    assert relax["epochs to REBAR's best"] == "2"
    assert relax["published epochs"] == "never"
    assert relax["scale"] == "2 seeds, 40 steps"
    reinforce = shown[shown.estimator == "REINFORCE"].iloc[0]
    assert reinforce["epochs to REBAR's best"] == "4 (1 of 2 seeds)"
    write_markdown(shown, tmp_path / "vae.md")
    assert "nan" not in (tmp_path / "vae.md").read_text(encoding="utf-8")


def midtraining(noise, rates=(0.001,)):
    training = made_up.training({("rebar", s): (-20,) for s in range(len(noise))})
    tables = [made_up.midtraining(noise, rate=rate) for rate in rates]
    return midtraining_summary.summarise(training=training, midtraining=pd.concat(tables))


def test_midtraining_ratio_and_interval():
    """Half of REBAR's variance but for factors e^0, e^0.1, e^0.2: by hand, with t = 4.30265."""
    rows = midtraining(np.exp([0, 0.1, 0.2])).set_index("surrogate")
    added = rows.loc["relaxed cost + network"]
    assert (added.seeds, added.steps, added.checkpoint) == (3, 100, 50)
    assert added.log_variance == pytest.approx(np.log(0.01) + 0.1)
    middle, half = np.log(0.5) + 0.1, 4.30265 * 0.1 / np.sqrt(3)
    expected = np.exp([middle, middle - half, middle + half])
    assert list(added[["ratio_to_rebar", "ratio_low", "ratio_high"]]) == pytest.approx(expected)
    assert rows.loc["relaxed cost"].ratio_to_rebar == 1
    assert rows.loc["baseline"].ratio_to_rebar == pytest.approx(30 * np.exp(0.1))


def test_midtraining_counts_the_selected_learning_rate_only():
    assert set(midtraining([1, 1], rates=(0.001, 0.1)).learning_rate) == {0.001}


def test_midtraining_with_one_seed_has_no_interval():
    table = midtraining([1.0])
    assert table[["ratio_low", "ratio_high"]].isna().all(axis=None)
    shown = midtraining_summary.for_people(table).set_index("surrogate")
    ratio = shown["variance / REBAR's [95% interval]"]
    assert ratio["relaxed cost + network"] == "0.5"
    assert ratio["relaxed cost"] == ""
    assert set(shown["scale"]) == {"1 seed, 100 updates of φ"}
    assert shown["stopped at"].unique().tolist() == ["50, REBAR's path"]


def test_toy_summary_takes_the_last_step():
    rows = [
        ("relax", 0.499, "independent", seed, step, step / 100, 0.25, 1e-3, np.exp(-step))
        for seed in (0, 1, 2)
        for step in (0, 10)
    ]
    columns = "estimator target noise seed step theta loss gradient_variance exact_variance"
    table = pd.DataFrame(rows, columns=columns.split())
    choice = table.drop(columns=["target", "theta", "exact_variance"]).assign(
        step=table.step * 2, best_probability=table.theta * 7, outcomes=3
    )
    row, other = toy_summary.summarise(toy=table, categorical=choice).to_dict("records")
    assert row["seeds"] == 3
    assert row["steps"] == 10
    assert row["theta"] == 0.1
    assert row["log_variance_exact"] == pytest.approx(-10)
    assert row["published_loss"] == 0.2491
    assert (row["problem"], row["target"]) == ("bernoulli", 0.499)
    assert np.isnan(row["best_probability"])
    assert other["problem"] == "categorical"
    assert (other["steps"], other["best_probability"]) == (20, pytest.approx(0.7))
    assert other["log_variance"] == pytest.approx(np.log(1e-3))
    empty = ("target", "theta", "log_variance_exact", "published_loss")
    assert all(np.isnan(other[column]) for column in empty)
