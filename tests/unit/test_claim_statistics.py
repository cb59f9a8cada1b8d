"""The statistics behind the claims: what is compared, at which step, over which seeds."""

import numpy as np
import pandas as pd
import pytest
from unit.ledger import (
    SEEDS,
    VAE,
    everything,
    family,
    latents,
    midtraining,
    relaxations,
    toy,
    training,
    variance,
    verdicts,
)

from relax.experiments.claims import judge_claims
from relax.experiments.theory.claims import learned_surrogate_beats_concrete
from relax.experiments.toy.claims import best_stretch, reinforce_variance
from relax.experiments.vae.claims import faster_than_rebar
from relax.experiments.vae.selection import chosen_on_other_seeds
from relax.presentation.judge import (
    NOT_REPRODUCED,
    NOT_TESTED,
    REPRODUCED,
)


def test_on_the_toy_variances_are_compared_at_equal_theta():
    """Half of REINFORCE's variance at every θ is half, however far either path has come."""
    table = toy()
    table["exact_variance"] = reinforce_variance(table.theta, table.target)
    table.loc[table.estimator == "relax", "exact_variance"] *= 0.5
    found = judge_claims(everything(toy=table)).set_index("claim")
    gap = found.loc["RELAX has less variance than REBAR on the toy, t = 0.499"]
    assert gap.value == pytest.approx(np.log(0.5))
    c = 0.75 * (1 - 0.45) ** 2 + 0.25 * 0.45**2
    assert reinforce_variance(0.25, 0.45) == pytest.approx(0.25 * 0.75 * c**2)


def test_signal_and_noise_add_up_over_the_steps():
    """By hand: 10 steps of gradient g and variance v have 10 g of signal and √(10 v) of noise."""
    table = toy(seeds=SEEDS, rebar=(0.5, 1e-2))
    table = table.assign(step=table.step.replace(10, 40_000), theta=0.5)
    claims = judge_claims(everything(toy=table)).set_index("claim")
    found = claims.loc["The noise of REBAR's gradient outweighs its signal at t = 0.499"]
    assert found.value == pytest.approx(200 * 0.25 * 0.002 / 0.1, rel=1e-3)


def test_noise_from_before_a_surrogate_was_learned_does_not_count_for_ever():
    """A run that is all noise for 1,000 steps and has none later: its later stretch is what it can.

    By hand: 1,000 steps at variance 1, then 1,000 at 1e-6, gradient 5e-4 throughout.
    """
    run = pd.DataFrame({"step": [0, 1000, 1001, 2001], "exact_variance": [1.0, 1.0, 1e-6, 1e-6]})
    run = run.assign(target=0.499, theta=0.5, seed=0)
    assert best_stretch(run) == pytest.approx(1000 * 5e-4 / np.sqrt(1000 * 1e-6))
    whole = run[run.step.isin([0, 2001])]
    assert best_stretch(whole) == pytest.approx(2001 * 5e-4 / np.sqrt(2001 * (1 + 1e-6) / 2))


def test_what_seeds_cannot_tell_is_not_reproduced():
    """A mean on the right side is not enough: the interval must be there."""
    table = training()
    spread = table.seed.map(dict(zip(SEEDS, (-3.0, 3.0, -2.0, 2.0, 0.0), strict=True)))
    table.loc[table.estimator == "relax", "train_elbo"] += spread
    found = judge_claims(everything(training=table)).set_index("claim")
    claim = found.loc[f"RELAX has a better training ELBO than REBAR {VAE}"]
    assert claim.value > 0 > claim.ci_low
    assert claim.verdict == NOT_REPRODUCED


def test_another_estimator_and_target_get_rows_of_their_own():
    """Also one that the draft does not name."""
    tables = everything(
        toy=pd.concat([toy(targets=[0.499]), toy(targets=[0.45], mine=(0.3, 1e-3))]),
        training=training(mine=-21.0),
    )
    found = judge_claims(tables).set_index("claim").verdict
    assert found["RELAX has less variance than REBAR on the toy, t = 0.45"] == REPRODUCED
    assert found["RELAX has less variance than mine on the toy, t = 0.45"] == REPRODUCED
    assert found[f"RELAX has a better training ELBO than mine {VAE}"] == REPRODUCED


def test_a_constant_is_the_limit_of_concretes_family_of_two_latents():
    """Where it is the better of the two, the claims are about it."""
    found = verdicts(latents=latents(constant=0.08))
    learned = "A learned surrogate has less variance than the best Concrete relaxation, two latents"
    assert found[learned] == NOT_REPRODUCED
    found = verdicts(latents=latents(constant=0.05))
    assert found["Concrete is not the optimal relaxation, two latents"] == NOT_REPRODUCED


def test_means_of_variances_over_seeds_are_both_shown():
    """One bad seed of five: less by the mean of logarithms, more by the arithmetic mean."""
    table = relaxations((1e-6, 1e-6))
    table.loc[(table.family == "relax") & (table.seed == 0), "variance"] = 1e-3
    rows = {row["claim"]: row for row in learned_surrogate_beats_concrete({"relaxations": table})}
    (found,) = (row for claim, row in rows.items() if "bounded λ" in claim)
    assert found["value"] == pytest.approx(np.log(1e3 ** (1 / 5) * 1e-2), abs=0.01)
    assert f"by arithmetic means over seeds {np.log(2.008):+.2f}" in found["scale"]


def test_a_family_of_other_targets_tests_nothing():
    """A run without the hard target has its other targets in the table."""
    tables = {"family": family().assign(target=0.45), "relaxations": relaxations()}
    (found,) = (r for r in learned_surrogate_beats_concrete(tables) if "every" in r["claim"])
    assert found["verdict"] == NOT_TESTED


def test_a_hot_enough_member_of_the_family_is_named():
    """The network has 1e-6, the family 0.01/(1 + λ²): 100 is the first of these that has less."""
    tables = {"relaxations": relaxations(), "family": family(temperatures=(1.0, 99.0, 101.0))}
    (found,) = (r for r in learned_surrogate_beats_concrete(tables) if "every" in r["claim"])
    assert found["verdict"] == NOT_REPRODUCED
    assert "from λ = 1e+02 on" in found["scale"]


def passages(own, other):
    """The row of first passages, of made-up validation curves [seed, epoch] of RELAX and REBAR."""
    rows = [
        ("digits", "linear1", name, 0.001, "coupled", seed, 10 * epoch, epoch, elbo, elbo)
        for name, curves in (("relax", own), ("rebar", other))
        for seed, curve in enumerate(curves)
        for epoch, elbo in enumerate(curve, start=1)
    ]
    columns = "dataset model estimator learning_rate noise seed step epoch train_elbo valid_elbo"
    table = pd.DataFrame(rows, columns=columns.split())
    (found,) = faster_than_rebar({"training": table})
    return found


def test_a_common_level_is_passed_on_both_sides():
    """By hand; and RELAX twice as fast is found faster."""
    found = passages([(-9, -5, -4), (-9, -5, -2)], [(-9, -9, -5), (-9, -9, -3)])
    assert found["value"] == -1  # to -5, the best of the worst run: epochs 2 and 2 against 3 and 3
    assert found["scale"].endswith("to -5.00 nats")
    curve = -np.exp(-np.arange(1, 101) / 20)
    noise = np.random.default_rng(0).normal(0, 0.02, (10, 100))
    fast = -np.exp(-np.arange(1, 101) / 10)
    assert passages(fast + noise[:5], curve + noise[5:])["verdict"] == REPRODUCED


def test_rebar_is_not_faster_than_itself():
    """Two sets of runs of one kind, 150 times: at most one in forty is called faster, and there is
    no gap in the mean (each to four standard errors). The old statistic, the epochs to the best of
    REBAR's own run, is far below zero on the same curves."""
    curve = -np.exp(-np.arange(1, 101) / 20)
    noise = np.random.default_rng(1).normal(0, 0.02, (150, 2, 5, 100))
    found, old = [], []
    for own, other in curve + noise:
        found.append(passages(own, other))
        there = own >= other.max(axis=1, keepdims=True)
        old += [t.argmax() - o.argmax() for t, o in zip(there, other, strict=True) if t.any()]
    gaps = np.array([each["value"] for each in found])
    assert abs(gaps.mean()) < 4 * gaps.std() / 150**0.5
    rate = np.mean([each["verdict"] == REPRODUCED for each in found])
    assert rate < 0.025 + 4 * (0.025 * 0.975 / 150) ** 0.5
    assert np.mean(old) < -3 * np.std(old) / len(old) ** 0.5


def test_no_seed_is_judged_at_a_rate_of_its_own_choice():
    """Seed 0 is lucky at the rate 0.1, the others at 0.01: each gets what the others would."""
    scores = {(0.1, 0): -1.0, (0.1, 1): -9.0, (0.1, 2): -9.0,
              (0.01, 0): -5.0, (0.01, 1): -5.0, (0.01, 2): -5.0}  # fmt: skip
    rows = [("digits", "linear1", "relax", rate, s, elbo) for (rate, s), elbo in scores.items()]
    table = pd.DataFrame(
        rows, columns=["dataset", "model", "estimator", "learning_rate", "seed", "valid_elbo"]
    )
    chosen = chosen_on_other_seeds(table).set_index("seed").learning_rate
    assert chosen.to_dict() == {0: 0.01, 1: 0.1 if (-1 - 9) / 2 > -5 else 0.01, 2: 0.01}
    alone = chosen_on_other_seeds(table[table.seed == 0])
    assert alone.learning_rate.tolist() == [0.1]


def test_the_scale_says_what_was_not_flat():
    """And of tables from before there was such a column, that nobody asked."""
    table = variance()
    table.loc[(table.estimator == "relax") & (table.seed == 3), "flat"] = False
    claim = f"RELAX has less variance than REBAR {VAE}, the last checkpoint"
    found = judge_claims(everything(variance=table)).set_index("claim").scale[claim]
    assert found.endswith("1 of 10 tunings not flat")
    before = variance()[lambda t: t.direct_term].drop(columns=["flat", "direct_term"])
    found = judge_claims(everything(variance=before)).set_index("claim")
    assert found.loc[claim].verdict == REPRODUCED
    assert found.scale[claim].endswith("tuned for a fixed number of updates")
    assert found.loc[f"{claim}, without the direct term"].verdict == NOT_TESTED


def test_halfway_counts_the_selected_learning_rate_only():
    """On another rate's path RELAX is worse, which must not matter; nor may it be all there is."""
    other = midtraining(rate=0.1, added=0.5)
    claim = "Stopped halfway and tuned, RELAX added to REBAR's relaxation has less variance than "
    claim += f"REBAR {VAE}"
    tables = everything(midtraining=pd.concat([midtraining(), other]))
    both = judge_claims(tables).set_index("claim")
    assert both.loc[claim].verdict == REPRODUCED
    scale = "5 seeds, 100 steps, coupled noise, on REBAR's path; fall over the last 100 updates: "
    scale += "REBAR 4.605, RELAX 4.711"
    assert both.loc[claim].scale == scale.replace("path; fall", "path, fall")
    assert verdicts(midtraining=other)[claim] == NOT_TESTED
