"""Reinforcement learning: its summary, claims and figures, from made-up tables."""

import numpy as np
import pandas as pd
import pytest

from relax.experiments.control import claims, rates_summary
from relax.experiments.control.figures import fig11_rl, fig13_cartpole
from relax.experiments.control.summary import (
    followed_alike,
    for_people,
    run_log_variance,
    select_rates,
    solved_at,
    summarise,
)
from relax.presentation.judge import NOT_REPRODUCED, NOT_TESTED, REPRODUCED

RUN = {"environment": "CartPole-v1", "task": "cartpole", "noise": "independent", "solved": 195.0}


def run(estimator, seed, solved_after, variance=2.0, rate=0.01, episodes=300, low=50.0):
    """A run that has the reward `low`, and 200 after so many episodes; never where None."""
    solved_after = episodes if solved_after is None else solved_after
    reward = np.where(np.arange(episodes) < solved_after, low, 200.0)
    measured = np.full(episodes, np.nan)
    measured[::10] = variance
    return pd.DataFrame(
        {
            **RUN,
            "estimator": estimator,
            "learning_rate": rate,
            "surrogate_learning_rate": 0.1,
            "seed": seed,
            "update": np.arange(episodes) + 1,
            "episode": np.arange(episodes) + 1,
            "frame": reward.cumsum().astype(int),
            "reward": reward,
            "gradient_variance": measured,
        }
    )


def table(relax=(20, 30, 25), a2c=(90, 80, 100), ratio=0.5):
    runs = [run("relax", s, at, ratio * (2 + s)) for s, at in enumerate(relax)]
    return pd.concat([*runs, *(run("a2c", s, at, 2.0 + s) for s, at in enumerate(a2c))])


def test_solved_is_the_first_hundred_good_episodes():
    """A mean of 195 needs 97 of 200 and 3 of 50; the count is of episodes, and of frames."""
    at = solved_at(run("relax", 0, 20)).iloc[0]
    assert (at.episodes, at.lived) == (117, 300)
    assert at.frames == 20 * 50 + 97 * 200
    never = solved_at(run("relax", 0, None)).iloc[0]
    assert np.isnan(never.episodes)
    assert np.isnan(never.frames)
    assert never.lived == 300


def test_the_rates_with_the_most_reward_are_chosen():
    """For each estimator its own; by the area under reward against frames, not by the end alone."""
    rival = table()[lambda t: t.estimator == "a2c"]
    both = pd.concat([run("relax", 0, 100, rate=0.1), run("relax", 0, 20), rival])
    chosen = select_rates(both)
    assert set(chosen[chosen.estimator == "relax"].learning_rate) == {0.01}
    assert set(chosen.estimator) == {"relax", "a2c"}
    assert len(chosen) == 4 * 300


def test_log_variance_is_the_mean_over_measurements():
    """Where nothing was measured nothing counts; a variance of zero has no logarithm."""
    runs = run("relax", 0, 20, variance=3.0)
    runs.loc[0, "gradient_variance"] = 0.0
    assert run_log_variance(runs)["log"].tolist() == [pytest.approx(np.log(3.0))]


def test_summary():
    """Means and errors over seeds, how many solve it, and the published numbers beside them."""
    summary = summarise(table(a2c=(90, None, 100)))
    assert list(summary.estimator) == ["relax", "a2c"]  # the registry's order
    relax, a2c = summary.iloc[0], summary.iloc[1]
    assert relax.episodes_to_solve == 25 + 97
    assert relax.episodes_to_solve_se == pytest.approx(np.std([20, 30, 25], ddof=1) / 3**0.5)
    assert (relax.solved_seeds, relax.seeds, a2c.solved_seeds) == (3, 3, 2)
    assert a2c.episodes_to_solve == pytest.approx((90 + 97 + 300 + 100 + 97) / 3)
    assert a2c.horizon == 300
    assert relax.final_reward == 200
    assert relax.log_variance == pytest.approx(np.mean(np.log([1.0, 1.5, 2.0])))
    assert (relax.published_episodes_to_solve, a2c.published_episodes_to_solve) == (472, 1152)
    assert relax.frames == min(r * 50 + (300 - r) * 200 for r in (20, 30, 25))
    shown = for_people(summary)
    assert list(shown.solved) == ["3 of 3 seeds", "2 of 3 seeds"]
    assert list(shown["episodes to solve"].str.startswith("≥")) == [False, True]
    assert shown["published"].iloc[0] == "472 ± 114"


def verdict(rows, claim):
    found = [r for r in claim({"policies": rows}) if "CartPole" in r["claim"]]
    assert len(found) == 1
    return found[0]


FIVE = {"relax": (20, 30, 25, 22, 28), "a2c": (90, 80, 100, 85, 95)}


def test_each_pair_of_rates_stands_by_itself():
    """With the horizon of its own runs; where all diverged, with how many did."""
    short = run("relax", 0, 20, rate=0.02, episodes=150)
    lost = [run(name, 0, None, rate=0.03).assign(diverged_update=7) for name in ("a2c", "relax")]
    rates = pd.concat([table().assign(diverged_update=np.nan), short, *lost])
    summary = rates_summary.summarise(rates)
    assert list(summary.learning_rate) == [0.01, 0.01, 0.02, 0.03, 0.03]
    assert list(summary.estimator) == ["relax", "a2c", "relax", "relax", "a2c"]
    assert list(summary.horizon.fillna(0)) == [300, 300, 150, 0, 0]
    assert list(summary.diverged) == [0, 0, 0, 1, 1]
    alone = summarise(table())
    pd.testing.assert_frame_equal(summary[alone.columns].iloc[:2], alone, check_dtype=False)
    shown = rates_summary.for_people(summary)
    assert list(shown.rates) == ["0.01, 0.1"] * 2 + ["0.02, 0.1"] + ["0.03, 0.1"] * 2
    assert list(shown.scale)[-1] == "1 of 1 run diverged"


def test_claims_hold_where_they_should():
    """Fewer episodes and less variance, seed by seed."""
    fewer, less = (verdict(table(**FIVE), claim) for claim in claims.CLAIMS)
    assert fewer["verdict"] == REPRODUCED
    assert fewer["value"] == 25 - 90
    assert "5 of 5 seeds of RELAX and 5 of 5 seeds of A2C solve it" in fewer["scale"]
    assert less["verdict"] == REPRODUCED
    assert less["value"] == pytest.approx(np.log(0.5))


def test_claims_fail_where_they_should():
    """The other way round; and where the times lie among each other."""
    reverse = table(relax=FIVE["a2c"], a2c=FIVE["relax"], ratio=2.0)
    for claim in claims.CLAIMS:
        assert verdict(reverse, claim)["verdict"] == NOT_REPRODUCED
    mixed = verdict(table(relax=(20, 90, 30, 80, 25), a2c=(85, 22, 95, 28, 100)),
                    claims.fewer_episodes)  # fmt: skip
    assert mixed["verdict"] == NOT_REPRODUCED
    assert mixed["value"] < 0
    nobody = verdict(table(relax=(None,) * 3, a2c=(None,) * 3), claims.fewer_episodes)
    assert nobody["verdict"] == NOT_REPRODUCED


def test_where_runs_are_cut_off_does_not_turn_the_verdict():
    """Own 250 five times, a rival's 300 four times and 3,000: at 400 the last is cut off.

    A t interval over times, the cut one counted with what it lived, spans zero for the whole runs
    (the 3,000) and excludes it for those cut at 400, which hides the spread: the limit decides.
    """

    def runs(episodes):
        at = [run("relax", s, 250 - 97, episodes=episodes) for s in range(5)]
        at += [run("a2c", s, 300 - 97, episodes=episodes) for s in range(4)]
        last = None if episodes < 3000 else 3000 - 97
        return pd.concat([*at, run("a2c", 4, last, episodes=episodes)])

    found = [verdict(runs(episodes), claims.fewer_episodes) for episodes in (3100, 400)]
    assert found[0]["verdict"] == found[1]["verdict"]
    assert found[0]["scale"].split("p = ")[1] == found[1]["scale"].split("p = ")[1]
    assert found[0]["ci_high"] > 0 > found[1]["ci_high"]  # what the old rule judged by
    assert "followed for 400 episodes" in found[1]["scale"]


def test_a_run_is_followed_no_longer_than_the_shortest():
    """A run that fares badly lives more episodes in the same frames, which must not help it."""
    rows = pd.concat([run("relax", 0, None, episodes=500), run("relax", 1, 20), run("a2c", 0, 250)])
    at = followed_alike(solved_at(rows)).set_index(["estimator", "seed"])
    assert set(at.horizon) == {300}
    assert at.time.to_dict() == {("relax", 0): 300, ("relax", 1): 117, ("a2c", 0): 300}
    assert at.seen.to_dict() == {("relax", 0): False, ("relax", 1): True, ("a2c", 0): False}


def test_two_tasks_of_one_environment_are_two_problems():
    """Each has its own rows: seeds are not counted twice, and nothing is pivoted together."""
    rows = table(**FIVE)
    both = pd.concat([rows, rows.assign(task="other")])
    for claim in claims.CLAIMS:
        found = [r for r in claim({"policies": both}) if "CartPole" in r["claim"]]
        assert [r["verdict"] for r in found] == [REPRODUCED] * 2
        assert all(r["scale"].startswith("5 seeds") for r in found)
        assert "CartPole (cartpole)" in found[0]["claim"]
        assert "CartPole (other)" in found[1]["claim"]


def test_claims_without_data_are_not_tested():
    """No table, no rival: for each published environment a row all the same."""
    for rows in (None, table()[lambda t: t.estimator == "relax"]):
        for claim in claims.CLAIMS:
            found = list(claim({"policies": rows} if rows is not None else {}))
            assert {r["verdict"] for r in found} == {NOT_TESTED}
            for name in ("CartPole", "LunarLander", "InvertedPendulum"):
                assert any(name in r["claim"] for r in found)


def test_figure_11_shows_every_estimator_and_the_goal():
    """A column a task; the threshold; curves of the chosen rates alone."""
    rows = table()
    other = rows.assign(task="other", environment="Other-v0")
    figure = fig11_rl(pd.concat([rows, other]))
    upper = figure.axes[0]
    assert len(figure.axes) == 4
    assert "cartpole (CartPole-v1)" in upper.get_title()
    goals = [line for line in upper.lines if line.get_label().startswith("solved")]
    assert [line.get_ydata()[0] for line in goals] == [195.0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["RELAX", "A2C", "solved: mean of 100 episodes above this"]
    assert "cartpole: 3 seeds" in figure.legends[0].get_title().get_text()
    curves = [line for line in upper.lines if len(line.get_xdata()) > 2]
    assert max(max(line.get_ydata()) for line in curves) == 200


def test_figure_13_draws_the_states():
    """One strip an estimator, of the first seed: each snapshot's pole leans as the state does."""
    steps = np.arange(17)
    shown = pd.concat(
        pd.DataFrame(
            {
                **RUN,
                "estimator": name,
                "learning_rate": 0.01,
                "surrogate_learning_rate": 0.1,
                "seed": seed,
                "step": steps,
                "observation_0": 0.1 * seed,
                "observation_1": 0.0,
                "observation_2": steps / 100,
                "observation_3": 0.0,
            }
        )
        for name in ("relax", "a2c")
        for seed in (0, 1)
    )
    figure = fig13_cartpole(table(), shown)
    assert len(figure.axes) == 2 * 9
    lean = [axes.lines[-1].get_xdata()[1] for axes in figure.axes[:9]]
    np.testing.assert_allclose(lean, 1.6 * np.sin(np.arange(0, 17, 2) / 100))
    # Another task's episode is a strip of its own: they used to be one, its steps interleaved.
    other = shown.assign(task="longer", observation_2=0.0)
    figure = fig13_cartpole(
        pd.concat([table(), table().assign(task="longer")]), pd.concat([shown, other])
    )
    lean = [axes.lines[-1].get_xdata()[1] for axes in figure.axes]
    assert len(lean) == 4 * 9
    np.testing.assert_allclose(lean[:9], 1.6 * np.sin(np.arange(0, 17, 2) / 100))
    assert not any(lean[18:])
    assert [figure.axes[9 * row].get_ylabel() for row in (0, 3)] == [
        "cartpole\nRELAX\n17 steps",
        "longer\nA2C\n17 steps",
    ]


def test_figure_11_draws_the_variance_of_the_seeds_that_are_left():
    """One seed of RELAX less, as where it diverged, and its whole curve used to be gone."""
    rows = table()
    rows = rows[(rows.estimator != "relax") | (rows.seed > 0)]
    lower = fig11_rl(rows).axes[1]
    points = [len(line.get_xdata()) for line in lower.lines]
    assert points
    assert len(points) == 2
    assert all(points)
