"""A learning rate at which a VAE diverges is a result: noted, left out, shown; in any jobs."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from unit.test_resume import Fragile, Killed
from unit.test_vae import BATCH, images, settings  # noqa: F401

from relax.errors import NonFiniteError
from relax.experiments.vae import claims, gradient_summary, midtraining_summary, summary
from relax.experiments.vae.figures import fig3_vae_training, fig4_vae_variance, fig5_vae_midtraining
from relax.experiments.vae.midtraining import MidtrainingSettings, halfway
from relax.experiments.vae.picture_figures import fig12_vae_pictures
from relax.experiments.vae.pictures import pictures
from relax.experiments.vae.selection import left_out, select_learning_rate
from relax.experiments.vae.trainer import Trainer
from relax.experiments.vae.training import by_step, train
from relax.experiments.vae.variance import MeasureSettings, measure_variance
from relax.numerics.finite import NEVER, Divergence
from relax.presentation.judge import NOT_TESTED, stack
from relax.presentation.style import save
from relax.runs.resume import Unfinished, identity
from relax.runs.tables import read_tables, write_table
from relax.surrogates.base import SurrogateSpec

RATES, STEPS, AT = (0.001, 1e30), 12, (0, 6, 12)
ESTIMATORS = ("rebar", "relax")


def test_divergence_is_noted_once_and_of_its_replica_alone():
    noted = Divergence(3)
    good, bad = torch.ones(3, 4), torch.ones(3, 2)
    for step, value in ((1, 1.0), (2, torch.inf), (3, torch.nan)):
        bad[1, 1] = value
        noted.now.fill_(step)
        noted.note(good, bad)
    assert noted.step.tolist() == [NEVER, 2, NEVER]
    assert noted.alive.tolist() == [True, False, True]


class Files:
    """What jobs write for each learning rate, as the workflow names it."""

    def __init__(self, folder, rates):
        self.folders = {rate: folder / f"lr{rate:g}" for rate in rates}

    def __call__(self, name, rates):
        return [self.folders[rate] / name for rate in rates]


def whole_grid(images, folder, jobs, rates=RATES, **changes):  # noqa: F811
    """Train, measure and picture every rate, those of a tuple of `jobs` in one job; the tables."""
    tables = {name: [] for name in ("training", "best", "variance", "pictures")}
    tables |= {name: [] for name in ("midtraining", "gradients", "assumptions")}
    measure = MeasureSettings(ESTIMATORS, tuning_block=2, tuning_steps=2, minibatches=2, draws=3)
    plan = MidtrainingSettings(tuning_steps=2, measurements=1, minibatches=2, draws=3)
    for name in ESTIMATORS:
        files = Files(folder / name, rates)
        for own in jobs:
            rate = own if len(own) > 1 else own[0]
            run = settings(name, learning_rate=rate, steps=STEPS, **changes)
            checkpoints = [p for r in own for s in AT for p in files(f"{s}.pt", [r])]
            paths = by_step(AT, checkpoints), files("best.pt", own)
            training, best = train(run, images, *paths)
            tables["training"].append(training)
            tables["best"].append(best)
        if name != ESTIMATORS[0]:
            continue
        for rate in rates:
            run = settings(name, learning_rate=rate, steps=STEPS, **changes)
            at = [files(f"{step}.pt", [rate])[0] for step in AT]
            tables["variance"].append(measure_variance(run, measure, images, at))
            for table, rows in halfway(run, plan, images, at[1]).items():
                tables[table].append(rows)
            tables["pictures"].append(pictures(run, images, files("best.pt", [rate])[0], 2))
    found = {}
    for name, parts in tables.items():
        paths = [folder / f"{name}{part}.csv" for part in range(len(parts))]
        for part, path in zip(parts, paths, strict=True):
            write_table(part, path)
        found[name] = read_tables(paths)
    return found


@pytest.fixture(scope="module")
def grids(images, tmp_path_factory):  # noqa: F811
    """The tables of rates of which one diverges at once, trained in one job, and in two."""
    jobs = {"one": [RATES], "two": [(rate,) for rate in RATES]}
    return {
        name: whole_grid(images, tmp_path_factory.mktemp(name), own) for name, own in jobs.items()
    }


@pytest.fixture(params=["one", "two"])
def grid(request, grids):
    return grids[request.param]


def only(tables, *names):
    return {name: tables[name] for name in names}


def test_a_rate_that_diverges_has_its_row(grid):
    """The step, once a seed, without ELBOs; in the other rate's rows nothing of it."""
    for _, rows in grid["training"].groupby(["estimator", "seed"]):
        good, bad = (rows[rows.learning_rate == rate] for rate in RATES)
        assert good.step.tolist() == [6, 12]
        assert good.diverged_step.isna().all()
        assert good.valid_elbo.notna().all()
        assert bad.step.tolist() == bad.diverged_step.tolist() == [2]
        assert bad[["train_elbo", "valid_elbo"]].isna().all(axis=None)
    best = grid["best"].set_index("learning_rate")
    assert best.diverged_step.loc[1e30].tolist() == [2] * 4
    assert best.loc[1e30, ["valid_elbo", "valid_bound", "test_elbo"]].isna().all(axis=None)
    assert best.loc[0.001, ["valid_elbo", "valid_bound", "test_elbo"]].notna().all(axis=None)
    assert set(grid["variance"].learning_rate) == set(grid["gradients"].learning_rate) == {0.001}


def test_its_tables_are_made_and_say_so(grid):
    table = summary.summarise(**only(grid, "training", "best"))
    assert table.learning_rate.tolist() == [0.001] * 2
    assert table.best_valid_bound.notna().all()
    people = summary.for_people(table)
    assert people.scale.tolist() == ["2 seeds, 12 steps; 2 of 4 runs diverged"] * 2
    rows = midtraining_summary.summarise(**only(grid, "training", "midtraining"))
    assert set(rows.learning_rate) == {0.001}
    rows = gradient_summary.summarise(**only(grid, "training", "gradients", "assumptions"))
    assert set(rows.learning_rate) == {0.001}
    rows = stack(row for claim in claims.CLAIMS for row in claim(grid)).set_index("claim")
    found = rows.loc["RELAX has a better training ELBO than REBAR on the VAE (toy, linear1)"]
    assert found.scale.endswith("; 4 of 4 runs at learning rate 1e+30") or "4 of 4" in found.scale
    assert found.verdict != NOT_TESTED


def test_its_figures_are_made_and_say_so(grid, tmp_path):
    figures = {
        "4 of 4 runs at learning rate 1e+30": fig3_vae_training(**only(grid, "training")),
        "2 of 2 runs at learning rate 1e+30": fig4_vae_variance(
            **only(grid, "training", "variance")
        ),
        "diverged, left out: 2 of 2 runs": fig5_vae_midtraining(
            **only(grid, "training", "midtraining", "gradients")
        ),
        "diverged: learning rate 1e+30": fig12_vae_pictures(**only(grid, "pictures")),
    }
    for words, figure in figures.items():
        save(figure, [tmp_path / "figure.svg", tmp_path / "figure.png"])
        texts = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
        assert any(words in text for text in texts), words


@pytest.mark.parametrize("name", ["training", "best"])
def test_one_job_or_two_give_the_same(grids, name):
    """To rounding: products of four replicas are not those of two."""
    order = ["estimator", "learning_rate", "seed", "step"]
    one, two = (each[name].sort_values(order, ignore_index=True) for each in grids.values())
    pd.testing.assert_frame_equal(one, two, rtol=1e-3)


def test_where_nothing_is_left_one_sentence_says_so(images, tmp_path):  # noqa: F811
    """The jobs end with their tables; what would show them is what fails."""
    tables = whole_grid(images, tmp_path, [RATES[1:]], RATES[1:])
    every = "4 of 4 runs at learning rate 1e\\+30"
    measured = "2 of 2|4 of 4"
    for make, words in (
        (lambda: summary.summarise(**only(tables, "training", "best")), every),
        (lambda: fig3_vae_training(**only(tables, "training")), every),
        (lambda: fig4_vae_variance(**only(tables, "training", "variance")), measured),
        (lambda: fig12_vae_pictures(**only(tables, "pictures")), "every run .* has diverged"),
    ):
        with pytest.raises(NonFiniteError, match=words):
            make()
    verdicts = stack(row for claim in claims.CLAIMS for row in claim(tables)).verdict
    assert set(verdicts) == {NOT_TESTED}


def made_up(scores):
    """A training table; `scores`: best ELBOs by (estimator, rate, seed), None where it diverged."""
    rows = [
        ("digits", "linear1", *run, 1, elbo or -1.0, np.nan if elbo else 1)
        for run, elbo in scores.items()
    ]
    columns = ["dataset", "model", "estimator", "learning_rate", "seed", "step", "valid_elbo"]
    return pd.DataFrame(rows, columns=[*columns, "diverged_step"])


def test_a_rate_at_which_seeds_diverge_is_chosen_last():
    """However good the seed that is left; of rates with as many, the ELBO decides."""
    elbos = {("rebar", 0.1, 0): -5.0, ("rebar", 0.1, 1): None, ("rebar", 0.01, 0): -20.0,
             ("rebar", 0.01, 1): -22.0, ("rebar", 0.001, 0): -30.0, ("rebar", 0.001, 1): -30.0,
             ("relax", 0.1, 0): None, ("relax", 0.1, 1): -9.0,
             ("nvil", 0.1, 0): None, ("nvil", 0.1, 1): None}  # fmt: skip
    table = made_up(elbos)
    chosen = select_learning_rate(table)
    pairs = set(zip(chosen.estimator, chosen.learning_rate, chosen.seed, strict=True))
    assert pairs == {("rebar", 0.01, 0), ("rebar", 0.01, 1), ("relax", 0.1, 1)}
    assert left_out(table) == "diverged, left out: 4 of 6 runs at learning rate 0.1"
    assert left_out(table[table.estimator == "nvil"].drop(columns="diverged_step")) == ""


def test_a_number_in_an_upper_layer_or_the_last_update_counts(images, tmp_path):  # noqa: F811
    """A layer's gradient alone; and parameters that no further estimate would show."""
    trainer = Trainer(settings("rebar", "linear2"), images)
    with torch.no_grad():
        trainer.surrogates[1].scale[1] = torch.nan
    x = images.train[:BATCH].expand(2, -1, -1)
    trainer.step(7, x, trainer.settings.noise_stream("noise")(0))
    assert trainer.divergence.step.tolist() == [NEVER, 7]
    huge = SurrogateSpec(hidden=(6,), squash=False, scale=1e30, dtype=torch.float32)
    run = settings("rebar", steps=1, spec=huge)
    table, best = train(run, images, {1: tmp_path / "1.pt"})
    assert table.diverged_step.tolist() == best.diverged_step.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rates", "kills"),
    [(RATES, (1, 2, 6, 19)), (1e30, (1, 4, 6)), ((1e30, 3e29), (2, 5))],
    ids=["one of two", "the only one", "both"],
)
def test_a_killed_run_that_diverges_ends_in_the_same_bits(images, tmp_path, rates, kills):  # noqa: F811
    """Before the divergence, after it, and at the epoch's end at which nothing is left."""
    copies = len(rates) if isinstance(rates, tuple) else 1

    def run(folder, unfinished=None):
        paths = {s: [folder / f"{r}_{s}.pt" for r in range(copies)] for s in (0, 9, 20)}
        best = [folder / f"{r}_best.pt" for r in range(copies)]
        chosen = settings("relax", steps=20, learning_rate=rates)
        tables = train(chosen, images, paths, best, unfinished=unfinished)
        return tables, {path.name: path.read_bytes() for path in folder.glob("*.pt")}

    expected, files = run(tmp_path / "whole")
    assert len(files) == 4 * copies
    waiting, log = tmp_path / "unfinished", io.StringIO()
    for step in kills:
        with pytest.raises(Killed):
            run(tmp_path / "killed", Fragile(waiting, step, log))
    with Unfinished(waiting, identity("this run"), log=log) as last:
        tables, again = run(tmp_path / "killed", last)
    for mine, other in zip(tables, expected, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)
    assert again == files
    went_on = [line.split()[-1] for line in log.getvalue().splitlines() if "continuing" in line]
    assert list(map(int, went_on)) == list(kills)
