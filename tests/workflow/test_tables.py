"""The tiny run's tables and checkpoints: columns, rows, and every digit."""

import numpy as np
import pandas as pd
import pytest
import torch
from workflow.project import TOY, VAE, VAE_RUN

from relax.runs.tables import read_tables, write_table

COLUMNS = {
    "toy/t0.45/*/seeds*.csv": (
        "estimator target noise seed step theta loss gradient_variance exact_variance"
    ),
    "toy/categorical/*/seeds*.csv": (
        "estimator outcomes noise seed step best_probability loss gradient_variance"
    ),
    "toy/t0.45/*/relaxation_seeds*.csv": (
        "estimator target noise theta seed u value unscaled exact_variance"
    ),
    "vae/*/*/*/*/*/training.csv": (
        "dataset model estimator learning_rate noise direct_gradient seed step epoch "
        "train_elbo valid_elbo diverged_step"
    ),
    "vae/*/*/*/*/*/variance.csv": (
        "dataset model trajectory learning_rate noise direct_gradient direct_term estimator seed "
        "step encoder_variance logit_variance updates flat fall"
    ),
    "vae/*/*/*/*/*/best.csv": (
        "dataset model estimator learning_rate noise direct_gradient seed step epoch "
        "valid_elbo valid_bound test_elbo test_bound bound_samples diverged_step"
    ),
    "vae/*/*/*/*/*/midtraining.csv": (
        "dataset model trajectory learning_rate noise direct_gradient checkpoint estimator "
        "surrogate seed step encoder_variance logit_variance"
    ),
    "vae/*/*/*/*/*/gradients.csv": (
        "dataset model trajectory learning_rate noise direct_gradient checkpoint estimator "
        "surrogate seed cosine relative_error squared_bias"
    ),
    "vae/*/*/*/*/*/assumptions.csv": (
        "dataset model trajectory learning_rate noise direct_gradient checkpoint estimator seed "
        "share"
    ),
    "vae/*/*/*/*/*/pictures.csv": (
        "dataset model estimator learning_rate seed step kind image row column value"
    ),
    "rl/*/*/*/*/*/training.csv": (
        "environment task estimator learning_rate surrogate_learning_rate noise seed update "
        "episode frame reward gradient_variance diverged_update"
    ),
    "rl/*/*/*/*/*/shown.csv": (
        "environment task estimator learning_rate surrogate_learning_rate noise seed step "
        "observation_0 observation_1 observation_2 observation_3"
    ),
    "tables/rl.csv": (
        "environment task estimator learning_rate surrogate_learning_rate noise seeds frames "
        "episodes horizon solved_seeds episodes_to_solve episodes_to_solve_se frames_to_solve "
        "frames_to_solve_se final_reward final_reward_se log_variance log_variance_se "
        "published_episodes_to_solve published_se runs diverged"
    ),
    "tables/toy.csv": (
        "problem target estimator noise seeds steps theta best_probability loss loss_se "
        "log_variance log_variance_exact published_loss"
    ),
    "tables/claims.csv": (
        "claim where statistic value ci_low ci_high holds_above holds_below scale evidence rule "
        "verdict"
    ),
    "tables/vae.csv": (
        "dataset model estimator learning_rate noise seeds steps best_train_elbo "
        "best_train_elbo_se best_valid_elbo best_valid_elbo_se best_valid_bound "
        "best_valid_bound_se bound_samples test_elbo test_elbo_se test_bound test_bound_se runs "
        "diverged published_train_elbo published_valid_bound epochs_to_rebar seeds_to_rebar "
        "published_epochs_to_rebar"
    ),
    "tables/midtraining.csv": (
        "dataset model trajectory learning_rate noise checkpoint estimator surrogate seeds steps "
        "log_variance ratio_to_rebar ratio_low ratio_high"
    ),
    "tables/gradients.csv": (
        "dataset model trajectory learning_rate noise checkpoint estimator surrogate seeds cosine "
        "cosine_se relative_error relative_error_se squared_bias squared_bias_se assumption "
        "assumption_se"
    ),
    "tables/provenance.csv": "topic item value",
    "benchmark/*/variance.csv": (
        "problem objective noise latents relaxed estimator samples seed checkpoint variance "
        "squared_bias estimates"
    ),
    "benchmark/*/training.csv": (
        "problem objective latents relaxed noise estimator samples seed step loss"
    ),
    "benchmark/**/seconds.csv": (
        "problem objective estimator samples seconds seconds_low seconds_high step_seconds"
    ),
    "benchmark/vae/*/*/variance.csv": (
        "problem noise latents relaxed objective estimator samples seed checkpoint variance "
        "squared_bias updates flat estimates"
    ),
    "benchmark/vae/*/*/*/*/training.csv": (
        "problem objective latents relaxed noise estimator samples seed step loss valid_loss"
    ),
    "tables/estimators.csv": (
        "problem objective estimator samples unbiased noise seeds checkpoints log_variance "
        "log_error relative_bias evaluations gradients seconds seconds_low seconds_high "
        "step_seconds variance error error_x_evaluations rank_by_evaluations "
        "on_frontier_evaluations error_x_seconds rank_by_seconds on_frontier_seconds "
        "published_variance"
    ),
    "structure/graphs.csv": "problem nodes rows graph score acyclic edges parent child",
    "structure/*/*/training.csv": (
        "problem latents estimator noise seed step evaluations gradients score edges "
        "distance_to_best distance skeleton_distance"
    ),
    "structure/*/*/edges.csv": (
        "problem latents estimator noise seeds parent child probability learned"
    ),
    "structure/*/*/variance.csv": (
        "problem latents estimator noise seed variance mean_squared_error way"
    ),
    "structure/*/*/seconds.csv": "problem latents estimator noise seeds steps seconds",
    "tables/structure.csv": (
        "problem nodes rows latents estimator noise seeds steps evaluations gradients score "
        "score_low score_high optimum gap gap_low gap_high found edges distance_to_best distance "
        "skeleton_distance seconds"
    ),
}


@pytest.mark.parametrize(("pattern", "columns"), COLUMNS.items())
def test_tables_have_the_documented_columns(results, pattern, columns):
    """Headers as documented, and rows below them."""
    paths = list(results.glob(pattern))
    assert paths
    for path in paths:
        table = pd.read_csv(path)
        assert list(table.columns) == columns.split()
        assert len(table) > 0


def test_tables_have_a_row_an_observation(results):
    """Seeds times recorded steps, estimators times checkpoints, and no row twice."""
    toy = pd.read_csv(results / "toy/t0.45/relax/seeds0-1.csv")
    assert set(zip(toy.seed, toy.step, strict=True)) == {
        (seed, step) for seed in (0, 1) for step in (0, 10, 20, 30, 40)
    }
    assert len(toy) == 10
    variance = pd.read_csv(results / VAE_RUN.format("rebar") / "variance.csv")
    for direct, steps in ((True, (0, 6, 12)), (False, (12,))):
        rows = variance[variance.direct_term == direct]
        keys = list(zip(rows.estimator, rows.seed, rows.step, strict=True))
        assert sorted(keys) == sorted((n, s, step) for n in VAE for s in (0, 1) for step in steps)
    summary = pd.read_csv(results / "tables/toy.csv")
    assert list(summary.estimator) == TOY * 2
    assert (summary.seeds == 2).all()
    assert list(summary.steps) == [40] * len(TOY) + [30] * len(TOY)
    assert list(summary.target.isna()) == [False] * len(TOY) + [True] * len(TOY)


def test_tables_keep_every_digit(results, tmp_path):
    """Numbers are written in full, and read back as they were."""
    toy = read_tables(str(results / "toy/t0.45/relax/seeds0-1.csv"))
    # A relation that holds in float64, and for no rounded pair: E[f] = (1-θ) t² + θ (1-t)².
    expected = (1 - toy.theta) * toy.target**2 + toy.theta * (1 - toy.target) ** 2
    np.testing.assert_allclose(toy.loss, expected, rtol=1e-15)
    for path in results.rglob("*.csv"):
        write_table(read_tables(str(path)), tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    "name", ["toy", "vae", "midtraining", "gradients", "rl", "estimators", "claims", "provenance"]
)
def test_markdown_tables_show_the_same_rows(results, name):
    """A header, a rule, and a line for each row of the CSV."""
    lines = (results / "tables" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(pd.read_csv(results / "tables" / f"{name}.csv"))
    assert all(line.startswith("|") and line.endswith("|") for line in lines)


@pytest.mark.parametrize("estimator", VAE)
def test_checkpoints_are_tensors_only(results, estimator):
    """They load without unpickling code, know their step, and differ from step to step."""
    folder = results / VAE_RUN.format(estimator)
    saved = {
        step: torch.load(folder / f"checkpoint_{step}.pt", weights_only=True) for step in (0, 6, 12)
    }
    for step, tensors in saved.items():
        assert int(tensors["step"]) == step
        assert all(torch.isfinite(t).all() for t in tensors.values())
    trained = [name for name in saved[0] if name.startswith("model.encoder")]
    assert trained
    assert not any(torch.equal(saved[0][name], saved[12][name]) for name in trained)
