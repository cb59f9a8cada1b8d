"""What every training loop shares: finite checks, progress, checkpoints; and the toy's runs."""

from io import StringIO

import pandas as pd
import pytest
import torch

from relax.errors import DataError, NonFiniteError
from relax.estimators.registry import estimator_names, load_estimator
from relax.experiments.toy import problem as toy
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.runs.checkpoints import load_checkpoint, save_checkpoint
from relax.runs.progress import Progress


@pytest.mark.parametrize("part", ["cost", "gradient"])
def test_finite_check_names_step_seed_and_estimator(part):
    values = {"cost": torch.zeros(3, 4), "gradient": torch.zeros(3, 4, 2)}
    check_finite(step=7, seeds=range(10, 13), estimator="rebar", **values)
    values[part][1, 2] = float("nan")
    with pytest.raises(NonFiniteError, match=rf"the {part} .* step 7, seed 11, estimator 'rebar'"):
        check_finite(step=7, seeds=range(10, 13), estimator="rebar", **values)


def test_adam_has_a_rate_and_a_decay_for_each_group():
    """First steps of Adam are the rates; the decay pulls a parameter that has no gradient."""
    free, slow, decayed = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = adam([([free, frozen], 0.1), ([slow], 0.01), ([decayed], 0.1, 0.5)])
    free.grad, slow.grad, decayed.grad = torch.ones(2), torch.ones(2), torch.zeros(2)
    optimizer.step()
    for parameter, expected in ((free, 0.9), (slow, 0.99), (decayed, 0.9), (frozen, 1.0)):
        torch.testing.assert_close(parameter.detach(), torch.full((2,), expected))
    assert adam([([frozen], 0.1)]) is None


def test_adam_counts_the_steps_of_each_parameter():
    """A parameter without a gradient is left alone, and its first step is a first step."""
    early, late = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    plain = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    optimizer, expected = adam([([early, late], 0.1)]), torch.optim.Adam(plain, lr=0.1)
    for step in range(1, 6):
        for mine, other, first in ((early, plain[0], 1), (late, plain[1], 3)):
            gradient = torch.tensor([1.0, -2.0, 3.0]) / step if step >= first else None
            mine.grad, other.grad = gradient, gradient
        optimizer.step()
        expected.step()
    for mine, other in ((early, plain[0]), (late, plain[1])):
        torch.testing.assert_close(mine.detach(), other.detach())
    assert optimizer.counts.tolist() == [5, 3]


def test_progress_is_in_the_log():
    log = StringIO()
    with Progress("a title", 20, log) as bar:
        for _ in range(20):
            bar.advance(note="loss 1.0")
    assert "a title: step 20/20" in log.getvalue()
    assert "loss 1.0" in log.getvalue()


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", None])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"x": torch.arange(100.0)}, path)
    assert torch.equal(load_checkpoint(path)["x"], torch.arange(100.0))
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"checkpoint\.pt is not a readable checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", estimator_names(kind="bernoulli"))
def test_toy_table_has_the_documented_columns(name):
    run = toy.ToySettings(
        name, range(3), target=0.45, steps=20, record_every=8, variance_samples=50
    )
    table = toy.train(run)
    assert list(table.columns) == [
        *("estimator", "target", "noise", "seed", "step", "theta", "loss"),
        *("gradient_variance", "exact_variance"),
    ]
    # The quadrature is over the noise of one sample.
    assert table.exact_variance.isna().all() == (load_estimator(name).samples(run.spec) > 1)
    assert sorted(set(table.step)) == [0, 8, 16, 20]
    pd.testing.assert_frame_equal(table, toy.train(run), check_exact=True)


def test_measured_variance_agrees_with_quadrature():
    """Ratio of the two over 40 seeds, 4,000 samples each: 1 within five standard errors."""
    for name in ("reinforce", "rebar", "relax"):
        run = toy.ToySettings(name, range(40), target=0.45, steps=1, variance_samples=4000)
        table = toy.train(run)
        ratio = table.gradient_variance / table.exact_variance
        # The spread between seeds is the standard error, whatever the kurtosis.
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / len(ratio) ** 0.5
        assert ratio.std() < 0.2


def test_relaxations_are_tuned_from_the_same_start():
    run = toy.ToySettings("rebar", range(2), target=0.45, steps=5)
    table = toy.tune_relaxations(run, 0.5, points=11)
    cost = table[table.estimator == "cost"]
    assert sorted(set(cost.value.round(4))) == [0.2025, 0.3025]
    assert len(table[table.estimator == "rebar"]) == 22
    assert table[table.estimator == "rebar"].unscaled.notna().all()
