"""The tables of `results/theory/` that the ledger reads, against what is known in closed form."""

import numpy as np
import pytest
import torch

from relax.experiments.theory import printed
from relax.experiments.theory.assumptions import squared_correlation
from relax.experiments.theory.equation_claims import EQUAL, INEFFECTIVE, equations, ineffective
from relax.experiments.theory.family import eta, family, logits_of, relaxed_at
from relax.experiments.theory.tables import TheorySettings
from relax.experiments.toy.problem import squared_distance
from relax.presentation.judge import NOT_REPRODUCED, REPRODUCED
from relax.surrogates.base import SurrogateSpec

SPEC = SurrogateSpec(latents=1, hidden=(4,), activation="tanh", dtype=torch.float64)
SETTINGS = TheorySettings(
    targets=(0.45,),
    thetas=(0.3, 0.5),
    grid=2,
    largest_temperature=148.0,
    seeds=range(2),
    steps=40,
    surrogate_learning_rate=0.01,
    noise="independent",
    spec=SPEC,
)


@pytest.fixture(scope="module")
def both_sides():
    return printed.printed(SETTINGS)


def test_what_the_draft_prints_gets_the_verdict_that_is_known(both_sides):
    """From the computed sides: the corrected equations hold, the printed ones do not."""
    rows = {row["claim"]: row for row in equations({"equations": both_sides})}
    found = {name: rows[claim]["verdict"] for name, (claim, *_) in EQUAL.items()}
    for name in ("every surrogate", "gumbel", "5", "6"):
        assert found[name] == REPRODUCED, name
    for name in ("every surrogate jump", "gumbel printed", "5 variance", "9 printed", "muprop"):
        assert found[name] == NOT_REPRODUCED, name
    rows = {row["claim"]: row for row in ineffective({"equations": both_sides})}
    assert rows[INEFFECTIVE["6 variance"]]["verdict"] == REPRODUCED
    assert rows[INEFFECTIVE["6 variance any"]]["verdict"] == NOT_REPRODUCED


def test_a_jump_costs_its_height(both_sides):
    """c = H(z): the bias is -θ(1-θ), relative to a gradient of θ(1-θ)(1-2t)."""
    jump = both_sides[both_sides.equation == "every surrogate jump"]
    np.testing.assert_allclose(jump.left / jump.right, 1 - 1 / 0.1, rtol=1e-9)


def test_two_outcomes_do_not_feel_the_sign(both_sides):
    """The Bernoulli case: -G has the law of a difference that is symmetric."""
    two = both_sides[both_sides.case.str.startswith("2 outcomes")]
    assert len(two) == 4
    np.testing.assert_allclose(two.left, two.right, atol=1e-12)


def test_every_surrogate_means_many(both_sides):
    """Large networks too; the worst of each is still exact."""
    rows = both_sides[both_sides.equation == "every surrogate"]
    assert rows.surrogates.sum() >= 400
    assert rows.case.str.contains("times 30").any()
    assert (rows.error / rows["scale"]).max() < 1e-9


def test_concretes_family_falls_as_the_square_of_its_temperature():
    """So its infimum is zero and no λ attains it: share x (1 + λ²) tends to a constant above it."""
    table = family(SETTINGS)
    for _, rows in table.groupby("theta"):
        share = rows.variance / rows.reinforce_variance
        scaled = (share * (1 + rows.temperature**2)).to_numpy()
        assert share.is_monotonic_decreasing
        assert scaled[-1] == pytest.approx(scaled[-4], rel=1e-3)
        assert scaled.min() > 0.1


def test_etas_variances_are_those_of_the_parabola():
    """Nothing is below the closed form, and what is at η = 0 is REINFORCE's."""
    table = eta(SETTINGS)
    star = (1 - table.theta) * 0.55**2 + table.theta * 0.45**2
    np.testing.assert_allclose(table.reinforce_variance, table.theta * (1 - table.theta) * star**2)
    for name in ("learned", "start", "reinforce"):
        assert (table[f"{name}_variance"] >= table.closed_variance * (1 - 1e-12)).all()
    curvature = (table.start_variance - table.closed_variance) / (1 - table.closed_eta) ** 2
    expected = curvature * (table.learned_eta - table.closed_eta) ** 2
    excess = table.learned_variance - table.closed_variance
    np.testing.assert_allclose(excess, expected, rtol=1e-6, atol=1e-15)


def test_the_correlation_is_that_of_samples():
    """ρ² of f(b) and f(σ(z/λ)), by quadrature and from 200,000 draws: within a hundredth."""
    logits, cost = logits_of([0.3, 0.6]), squared_distance(0.3)
    surrogate = relaxed_at([0.5, 0.5], SPEC)
    exact = squared_correlation(surrogate, cost, logits)
    u = torch.rand(2, 200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = logits + torch.logit(u)
    with torch.no_grad():
        pairs = torch.stack([cost((z > 0).double()), surrogate(z, cost)], 1)
    sampled = [torch.corrcoef(pair)[0, 1].item() ** 2 for pair in pairs]
    np.testing.assert_allclose(exact, sampled, atol=0.01)
