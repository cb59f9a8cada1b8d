"""The categorical toy: its loss and its variance against enumeration, and what descent finds."""

import pandas as pd
import pytest
import torch
from scipy import stats

from relax.estimators.registry import estimator_names
from relax.exact.enumeration import enumerate_expectation, enumerate_gradient
from relax.experiments.toy.categorical import CategoricalSettings, CostTable
from relax.experiments.toy.problem import train
from relax.numerics.streams import uniform_noise
from relax.relaxations.categorical import CATEGORICAL
from relax.surrogates.base import SurrogateSpec

COSTS = (0.51, 0.95, 0.14, 0.95, 0.31)
BEST = 2
SPEC = SurrogateSpec(latents=len(COSTS), hidden=(4,), relaxation=CATEGORICAL)
FALSE_ALARM_RATE = 1e-3


def settings(name, seeds, costs=COSTS, **options):
    return CategoricalSettings(name, seeds, costs=costs, spec=SPEC, **options)


def test_the_cost_is_the_table_and_linear_between():
    cost = CostTable(COSTS).cost
    corners = torch.eye(len(COSTS), dtype=torch.float64)
    assert cost(corners).tolist() == list(COSTS)
    middle = 0.25 * corners[0] + 0.75 * corners[3]
    assert cost(middle).item() == pytest.approx(0.25 * COSTS[0] + 0.75 * COSTS[3])


def test_what_is_recorded_is_its_enumeration():
    """The expected loss, and the probability of the best outcome, at arbitrary θ."""
    problem = CostTable(COSTS)
    logits = 6 * (uniform_noise(range(4), "noise", 0, (1, len(COSTS))) - 0.5)
    state = problem.state(logits)
    loss = enumerate_expectation(problem.cost, logits, CATEGORICAL).flatten()
    torch.testing.assert_close(state["loss"], loss)
    best = enumerate_expectation(lambda b: b[..., BEST], logits, CATEGORICAL).flatten()
    torch.testing.assert_close(state["best_probability"], best)
    assert best.max() - best.min() > 0.1  # four different θ


def test_outcomes_that_are_equally_good_count_together():
    state = CostTable((0.5, 0.1, 0.1, 0.9)).state(torch.zeros(1, 1, 4, dtype=torch.float64))
    assert state["best_probability"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("name", estimator_names(section="toy", kind="categorical"))
def test_the_table_has_the_documented_columns(name):
    run = settings(name, range(3), steps=20, record_every=8, variance_samples=50)
    table = train(run)
    assert list(table.columns) == [
        *("estimator", "outcomes", "noise", "seed", "step", "best_probability", "loss"),
        "gradient_variance",
    ]
    assert sorted(set(table.step)) == [0, 8, 16, 20]
    assert set(table.outcomes) == {5}
    assert table[table.step == 0].best_probability.tolist() == pytest.approx([0.2] * 3)
    pd.testing.assert_frame_equal(table, train(run), check_exact=True)


@pytest.mark.parametrize("best", range(len(COSTS)))
def test_descent_finds_the_best_outcome(best):
    """Wherever it stands in the table; the exact gradient has no noise and its seeds agree."""
    costs = [0.3 + cost for cost in COSTS]
    costs[best] = 0.2
    run = settings("exact", range(2), costs, steps=200, learning_rate=0.1, variance_samples=50)
    end = train(run).query("step == 200")
    assert (end.best_probability > 0.99).all()
    assert end.loss.tolist() == pytest.approx([0.2] * 2, abs=0.01)
    assert len(set(end.loss)) == 1
    assert (end.gradient_variance < 1e-20).all()


def reinforce_second_moment(problem, logits):
    """E|g|² summed over the logits, g = f(b) (b - θ), by enumeration: [replica]."""

    def square(b):
        return (problem.cost(b).unsqueeze(-1) * CATEGORICAL.score(logits, b)).square().sum(-1)

    return enumerate_expectation(square, logits, CATEGORICAL).flatten()


def test_the_measured_variance_is_that_of_all_logits():
    """REINFORCE's at the start, by a t-test over 40 seeds, one false alarm in a thousand.

    Controls: the second moment, which is 4% more, and the mean over the logits are rejected.
    """
    table = train(settings("reinforce", range(40), steps=1, variance_samples=4000))
    measured = table[table.step == 0].gradient_variance
    problem, start = CostTable(COSTS), torch.zeros(1, 1, len(COSTS), dtype=torch.float64)
    second = reinforce_second_moment(problem, start).item()
    slope = enumerate_gradient(problem.cost, start, CATEGORICAL).square().sum().item()

    def accepts(variance):
        return stats.ttest_1samp(measured, variance).pvalue > FALSE_ALARM_RATE

    assert second / (second - slope) > 1.03
    assert accepts(second - slope)
    assert not accepts(second)
    assert not accepts((second - slope) / len(COSTS))


def test_settings_come_from_a_rule():
    """As Snakemake hands them over; k is the number of costs."""
    params = {"costs": [3, 1, 2.5], "steps": 7, "surrogate": {"hidden": [3]}}
    run = CategoricalSettings.of({"estimator": "relax", "first": "3", "last": "4"}, params)
    assert (run.estimator, run.seeds, run.steps) == ("relax", range(3, 5), 7)
    assert (run.spec.latents, run.spec.relaxation) == (3, CATEGORICAL)
    assert train(run).outcomes.unique().tolist() == [3]


@pytest.mark.parametrize("outcomes", [2, 3, 8])
def test_the_best_constant_leaves_variance_beyond_two_outcomes(outcomes):
    """At θ uniform it is the mean of f, and leaves (1 - 2/k) Var(f), summed over the logits."""
    table = torch.linspace(-1, 1, outcomes, dtype=torch.float64).exp()
    start = torch.zeros(1, 1, outcomes, dtype=torch.float64)

    def variance(constant):
        problem = CostTable((table - constant).tolist())
        slope = enumerate_gradient(problem.cost, start, CATEGORICAL).square().sum().item()
        return reinforce_second_moment(problem, start).item() - slope

    best, expected = table.mean().item(), (1 - 2 / outcomes) * table.var(correction=0).item()
    assert variance(best) == pytest.approx(expected, abs=1e-12)
    assert variance(best + 0.1) > variance(best) + 1e-3
    assert variance(best - 0.1) > variance(best) + 1e-3
