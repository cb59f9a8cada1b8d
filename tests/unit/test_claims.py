"""Each claim's rule on made-up tables: where it holds, where it fails, where data are missing."""

import numpy as np
import pandas as pd
import pytest
from unit.ledger import (
    NEAR,
    SEEDS,
    VAE,
    as_made,
    assumptions,
    best,
    concrete,
    equations,
    eta,
    everything,
    family,
    latents,
    midtraining,
    optimum,
    relaxations,
    toy,
    toy_assumptions,
    training,
    variance,
    verdicts,
)

from relax.experiments.claims import for_people, judge_claims
from relax.experiments.control import claims as control
from relax.experiments.theory.equation_claims import EQUAL, INEFFECTIVE
from relax.presentation.common import label
from relax.presentation.intervals import LEVEL, Interval, OneSeed, interval, paired_interval
from relax.presentation.judge import (
    AGAINST,
    COLUMNS,
    FOR,
    NOT_REPRODUCED,
    NOT_TESTED,
    REPRODUCED,
    judged,
    row,
)
from relax.runs.tables import read_tables, write_markdown, write_table

ELBO_RIVALS = [(n, label(n)) for n in ("reinforce", "nvil", "muprop", "concrete", "rebar")]
# A claim; the table that decides it; how the table is when the claim fails, and when it is missing.
RULES = [
    *((claim, "equations", equations(**{name: (0.3, np.nan if name == "3" else 0.31)}),
       equations(**{name: None}))
      for name, (claim, *_) in EQUAL.items() if name not in ("8 printed", "10 printed")),
    *((claim, "equations", equations(**{name: (0.2, 0.3)}), equations(**{name: None}))
      for name, claim in INEFFECTIVE.items()),
    ("The Concrete estimator is biased at every temperature above zero", "concrete",
     concrete(lambda t: 0.0 if t == 0.5 else t), concrete()[:0]),
    ("Concrete's bias vanishes as its temperature goes to zero", "concrete",
     concrete(lambda t: 0.1 + 0.01 * t), concrete(temperatures=(0.5,))),
    ("Concrete's bias is small", "concrete", concrete(lambda t: 0.1 * t), concrete()[:0]),
    ("No Concrete relaxation of finite λ is optimal, one latent", "family",
     family(left=1e-9), family()[:0]),
    ("Concrete of bounded λ is not the optimal relaxation, one latent", "optimum",
     optimum(left=1e-7), optimum(families=["reinforce", "constant"])),
    ("Concrete is not the optimal relaxation, two latents", "latents",
     latents(best=0.2), latents(counts=(1,))),
    ("The optimal surrogate depends on θ", "optimum",
     optimum(constant=lambda t, theta: t), optimum(thetas=(0.5,))),
    ("The optimal surrogate depends on f", "optimum",
     optimum(constant=lambda t, theta: theta), optimum(targets=(0.499,))),
    ("A learned surrogate has less variance than the best Concrete relaxation of bounded λ, toy, "
     "t = 0.499", "relaxations", relaxations((1e-6, 2e-4)), relaxations(seeds=[0])),
    ("A learned surrogate has less variance than every Concrete relaxation, toy, t = 0.499",
     "family", family(temperatures=(0.1, 1e6)), family()[:0]),
    *((f"{what} on the toy", "toy_assumptions", toy_assumptions(0.3), toy_assumptions()[1::2])
      for what in ("The cost at REBAR's relaxed input is highly correlated with the cost",
                   "REBAR's control variate is highly correlated with the REINFORCE gradient")),
    ("A learned surrogate has less variance than the best Concrete relaxation, two latents",
     "latents", latents(learned=0.3), latents(seeds=[0])),
    ("Gradient descent on g² finds REBAR's optimal scale η", "eta",
     eta((0.001, 0.02)), eta(seeds=[0])),
    ("Control: η = 0 has not the least variance", "eta", eta(none=1.005), eta()[:0]),
    ("RELAX finds the solution θ = 0 at t = 0.499", "toy", toy(relax=(0.2, 1e-6)), toy(relax=None)),
    *((f"{label(name)} does not find the solution θ = 0 at t = 0.499", "toy",
       toy(**{name: (0.05, 1e-2)}), lacks)
      for name, lacks in (("reinforce", toy(exact=(0.3, 0.0))), ("concrete", toy(exact=None)),
                          ("rebar", toy(targets=[0.45])), ("nvil", toy(nvil=None)),
                          ("muprop", toy(seeds=[0])))),
    ("REBAR and the competing methods are unable to find θ = 0 at t = 0.499", "toy",
     toy(nvil=(0.05, 1e-2)), toy(muprop=None)),
    ("REBAR is not noticeably faster than REINFORCE at t = 0.499", "toy",
     toy(rebar=(0.3, 1e-2)), toy(exact=None)),
    ("Control: REBAR is noticeably faster than REINFORCE at t = 0.45", "toy",
     toy(control={"rebar": (0.39, 1e-4)}), toy(targets=[0.499])),
    ("The noise of REBAR's gradient outweighs its signal at t = 0.499", "toy",
     toy(rebar=(0.4, 1e-8)), toy(rebar=None)),
    ("Control: the signal of REBAR's gradient outweighs its noise at t = 0.45", "toy",
     toy(control={"rebar": (0.05, 1e-2)}), toy(targets=[0.499])),
    ("Control: the signal of RELAX's gradient outweighs its noise at t = 0.499", "toy",
     toy(relax=(0.05, 1e-4)), toy(relax=None)),
    *((f"RELAX has less variance than {label(name)} on the toy, t = {t:g}", "toy",
       toy(control={}, **{name: (0.4, 1e-9)}), toy(**{name: None}))
      for t in (0.45, 0.499) for name in ("reinforce", "rebar", "nvil", "muprop")),
    *((f"RELAX has a better {kind} ELBO than {label} {VAE}", table,
       maker(**{name: -20.0}), maker(**{name: None}))
      for kind, table, maker in (("training", "training", training), ("validation", "best", best))
      for name, label in ELBO_RIVALS),
    (f"REBAR has a better training ELBO than Concrete {VAE}", "training",
     training(concrete=-20.4), training(seeds=[0])),
    (f"RELAX reaches a validation ELBO that both reach in fewer epochs than REBAR {VAE}",
     "training", training(relax=-20.5), training(rebar=None)),
    *((f"RELAX has less variance than {label} {VAE}, {when}", "variance",
       variance(**{name: 0.009}), variance(**{name: None}))
      for when in ("the last checkpoint", "every checkpoint",
                   "the last checkpoint, without the direct term")
      for name, label in (("reinforce", "REINFORCE"), ("rebar", "REBAR"))),
    *((f"REBAR has less variance than {label} {VAE}, the last checkpoint{direct}", "variance",
       variance(**fails), variance(**lacks))
      for direct, fails in (("", {}), (", without the direct term", {"other": {"rebar": 1.5}}))
      for label, fails, lacks in (("REINFORCE", fails or {"rebar": 1.5}, {"seeds": [0]}),
                                  ("Concrete", fails or {"concrete": 0.005}, {"concrete": None}))),
    (f"REBAR's control variate is highly correlated with the REINFORCE gradient {VAE}", "variance",
     variance(rebar=0.6), variance(reinforce=None)),
    (f"The cost at REBAR's relaxed input is highly correlated with the cost {VAE}", "assumptions",
     assumptions(0.3), assumptions(None)),
    *((f"Stopped halfway and tuned, {words} has less variance than REBAR {VAE}", "midtraining",
       midtraining(**{key: 0.011}), midtraining(**{key: None}))
      for key, words in (("added", "RELAX added to REBAR's relaxation"),
                         ("alone", "RELAX's network alone"))),
]  # fmt: skip
NAMES = [rule[0] for rule in RULES]
# (8) and (10) fail as printed wherever they hold as corrected.
PRINTED = [f"{name}'s control variate has mean zero (as printed)" for name in ("REBAR", "RELAX")]


def test_every_claim_has_a_test_here():
    """What follows leaves no rule out; those of policies are in `test_control_tables.py`."""
    of_policies = [row["claim"] for claim in control.CLAIMS for row in claim({})]
    assert sorted(as_made().index) == sorted([*NAMES, *PRINTED, *of_policies])


@pytest.mark.parametrize("table", ["toy", "relaxations", "variance"])
def test_judging_anew_what_reads_a_table_is_judging_all(table):
    """The shortcut of the tests below."""
    everywhere = judge_claims(everything(**{table: None})).set_index("claim").verdict
    pd.testing.assert_series_equal(verdicts(**{table: None}), everywhere)


@pytest.mark.parametrize(("claim", "table", "fails", "lacks"), RULES, ids=NAMES)
def test_a_verdict_follows_the_data(claim, table, fails, lacks):
    """Held, failed, missing in part, and missing whole."""
    assert as_made()[claim] == REPRODUCED
    assert verdicts(**{table: fails})[claim] == NOT_REPRODUCED
    assert verdicts(**{table: lacks}).get(claim, NOT_TESTED) in (NOT_TESTED, FOR)  # or one seed
    without = as_made(without=table)
    assert {v for name, v in without.items() if name.startswith(claim.split(" (digits")[0])} == {
        NOT_TESTED
    }


@pytest.mark.parametrize(("claim", "name"), [(PRINTED[0], "8"), (PRINTED[1], "10")])
def test_a_sign_printed_wrong_is_reported(claim, name):
    """The printed equation is judged from the same two sides."""
    assert as_made()[claim] == NOT_REPRODUCED
    assert verdicts(equations=equations(**{name: (0.3, -0.3)}))[claim] == REPRODUCED
    assert verdicts(equations=None)[claim] == NOT_TESTED


def test_no_tables_test_nothing():
    """Every claim is still listed, without a number."""
    table = judge_claims({})
    assert list(table.columns) == COLUMNS
    assert set(table.verdict) == {NOT_TESTED}
    assert table[["value", "ci_low", "ci_high"]].isna().all(axis=None)


ONE_SEED_MAKERS = (toy, training, best, variance, midtraining, assumptions)
ONE_SEED_MAKERS += (relaxations, latents, eta)


def test_one_seed_says_so_and_has_no_interval():
    """A number and the way it points; exact numbers, which have no seeds, are judged as ever."""
    table = judge_claims(everything(**{m.__name__: m(seeds=[0]) for m in ONE_SEED_MAKERS}))
    exact = table[table.scale.str.startswith("exact; ")]
    assert len(exact) == (16 + 2) + 3 + 3 + 2 + 2 + 1
    assert set(exact.verdict) <= {REPRODUCED, NOT_REPRODUCED}
    rest = table[(table.verdict != NOT_TESTED) & ~table.index.isin(exact.index)]
    assert len(rest) > 20
    assert set(rest.verdict) == {FOR}
    assert rest.scale.str.startswith("1 seed").all()
    assert rest.value.notna().all()
    assert rest[["ci_low", "ci_high"]].isna().all(axis=None)


def test_one_seed_points_the_other_way_too():
    """The control: what fails with five seeds is against the claim with one."""
    for claim, table, fails, _ in RULES:
        if table in ("training", "variance", "midtraining"):
            rows = judge_claims(everything(**{table: fails[fails.seed == 0]}), ["vae"])
            assert rows.set_index("claim").verdict[claim] == AGAINST, claim


def test_a_run_shorter_than_an_epoch_has_no_training_elbo():
    """Empty values are missing data, not zeros."""
    found = verdicts(training=training().assign(train_elbo=np.nan))
    assert found[f"RELAX has a better training ELBO than REBAR {VAE}"] == NOT_TESTED
    assert found[f"RELAX has a better validation ELBO than REBAR {VAE}"] == REPRODUCED


def test_one_checkpoint_out_of_line_fails_the_claim_about_all():
    """And not the claim about the last."""
    found = verdicts(variance=variance(first={"relax": 0.02}))
    claim = f"RELAX has less variance than REBAR {VAE}, "
    assert found[claim + "the last checkpoint"] == REPRODUCED
    assert found[claim + "every checkpoint"] == NOT_REPRODUCED


def test_the_interval_is_students():
    """Three values by hand; and pairing takes out what the seeds share."""
    found = interval([1.0, 2.0, 3.0])
    assert LEVEL == 0.95
    assert found == pytest.approx((2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    rows = [
        (name, s, 100 * s + gain + NEAR[s]) for name, gain in (("a", 1), ("b", 0)) for s in SEEDS
    ]
    table = pd.DataFrame(rows, columns=["estimator", "seed", "x"])
    assert paired_interval(table, "x", "a", "b") == pytest.approx((1, 1, 1))
    assert paired_interval(table, "x", "a", "c") is None
    assert interval([]) is None
    assert interval([1.0]) == OneSeed(1, 1, 1)
    assert isinstance(interval([1.0]), OneSeed)
    assert not isinstance(found, OneSeed)


def test_intervals_cover_as_often_as_they_say():
    """Four normal values, many times."""
    draws = np.random.default_rng(0).normal(size=(4000, 4))
    covered = np.mean([i.low < 0 < i.high for i in map(interval, draws)])
    assert covered == pytest.approx(LEVEL, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)


def test_the_table_for_people(tmp_path):
    """Short columns, no missing numbers spelled out, and cells that keep Markdown's columns."""
    table = judge_claims(everything(eta=None))
    write_table(table, tmp_path / "claims.csv")
    again = read_tables(str(tmp_path / "claims.csv"))
    pd.testing.assert_frame_equal(again, table.replace("", None), check_dtype=False)
    write_markdown(for_people(table), tmp_path / "claims.md")
    lines = (tmp_path / "claims.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(table)
    assert len({line.count("|") for line in lines}) == 1
    assert "nan" not in "".join(lines[2:])


def test_an_untested_row_carries_no_number():
    """The row that a missing finding leaves."""
    made = row("a", "b", "c", "d", "e", None)
    assert made["verdict"] == NOT_TESTED
    assert np.isnan(made["value"])
    assert made["scale"] == ""


@pytest.mark.parametrize(
    ("found", "bounds", "holds"),
    [
        (Interval(-2.0, -3.0, -1.0), {"below": 0}, True),
        (Interval(-2.0, -5.0, 1.0), {"below": 0}, False),
        (Interval(2.0, 1.0, 3.0), {"below": 0}, False),
        (Interval(2.0, 1.0, 3.0), {"above": 0}, True),
        (Interval(0.0, -0.05, 0.05), {"above": -0.1, "below": 0.1}, True),
        (Interval(0.0, -0.05, 0.15), {"above": -0.1, "below": 0.1}, False),
        (Interval(np.nan, np.nan, np.nan), {"below": 0}, False),
        (1e-9, {"below": 1e-6}, True),
        (2.0, {"below": 1e-6}, False),
    ],
)
def test_the_whole_interval_must_lie_between_the_bounds(found, bounds, holds):
    """The rule that most claims have; the row carries its bounds."""
    made = row("a", "b", "c", "d", "e", judged(found, "5 seeds", **bounds))
    assert made["verdict"] == (REPRODUCED if holds else NOT_REPRODUCED)
    for side in ("above", "below"):
        assert made[f"holds_{side}"] == pytest.approx(bounds.get(side, np.nan), nan_ok=True)


def test_every_verdict_is_that_of_its_bounds():
    """But where a rule asks for a test beside them. Figure 0 draws the one and the other."""
    table = judge_claims(everything())
    tested = table[(table.verdict != NOT_TESTED) & ~table.rule.str.contains("log-rank")]
    assert tested[["holds_above", "holds_below"]].notna().any(axis=1).all()
    least, most = tested.ci_low.fillna(tested.value), tested.ci_high.fillna(tested.value)
    outside = (least < tested.holds_above) | (most > tested.holds_below) | tested.value.isna()
    assert list(outside) == list(tested.verdict != REPRODUCED)
    assert outside.any()
    assert not outside.all()
