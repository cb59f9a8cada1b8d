"""Policies whose gradient stops being finite: noted, left out, shown; the others go on."""

from contextlib import contextmanager

import pandas as pd
import pytest
import torch
from unit.test_control import StopAfter, settings

from relax.errors import Interrupted, NonFiniteError
from relax.experiments.control import claims
from relax.experiments.control import training as control_training
from relax.experiments.control.figures import fig11_rl, fig13_cartpole
from relax.experiments.control.history import History
from relax.experiments.control.summary import for_people, left_out, select_rates, summarise
from relax.experiments.control.training import Trainer, train
from relax.numerics.finite import NEVER
from relax.presentation.judge import NOT_TESTED, stack
from relax.presentation.style import save
from relax.runs.resume import Unfinished, identity

RATES = (0.01, 1e200)


@pytest.fixture(scope="module")
def grid():
    """Tables of two estimators at two rates, of which one diverges at once."""
    tables = [
        train(settings(name, learning_rate=rate)) for name in ("a2c", "relax") for rate in RATES
    ]
    training, shown = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    return training.assign(solved=195.0), shown


def test_a_rate_that_diverges_has_its_rows_until_then(grid):
    training, shown = grid
    bad, good = (training[training.learning_rate == rate] for rate in reversed(RATES))
    assert set(bad.diverged_update) == {2}
    assert bad.reward.notna().all()
    assert set(bad["update"]) == {1, 2}
    assert good.diverged_update.isna().all()
    assert set(shown.learning_rate) == {RATES[0]}


def test_its_table_and_figures_are_made_and_say_so(grid, tmp_path):
    training, shown = grid
    table = summarise(training)
    assert table.learning_rate.tolist() == [RATES[0]] * 2
    assert table.diverged.tolist() == [2, 2]
    assert for_people(table).scale.str.endswith("; 2 of 4 runs diverged").all()
    figure = fig11_rl(training)
    texts = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
    words = "diverged, left out: 4 of 4 runs at learning rates 1e+200, "
    assert any(words in text for text in texts)
    save(figure, [tmp_path / "fig11.svg"])
    save(fig13_cartpole(training, shown), [tmp_path / "fig13.svg"])
    rows = stack(row for claim in claims.CLAIMS for row in claim({"policies": training}))
    assert rows.scale[rows.verdict != NOT_TESTED].str.contains(words, regex=False).all()


def test_where_an_estimator_or_nothing_is_left(grid):
    """The table still has its line; without any line there is one sentence."""
    training, _ = grid
    lost = (training.estimator == "relax") & (training.learning_rate == RATES[0])
    table = summarise(training[~lost]).set_index("estimator")
    assert table.seeds.fillna(0).to_dict() == {"a2c": 2, "relax": 0}
    assert "2 of 2 runs diverged" in for_people(table.reset_index()).scale.tolist()
    with pytest.raises(NonFiniteError, match=r"no run of a policy is left to show .*4 of 4 runs"):
        select_rates(training[training.learning_rate == RATES[1]])
    assert left_out(training.drop(columns="diverged_update")) == ""


def test_one_seed_that_diverges_disturbs_no_other():
    """Its policy holds no numbers: it ends, and the other goes on as it does without."""
    trainers = [Trainer(settings()) for _ in range(2)]
    histories = [History(settings()) for _ in range(2)]
    with torch.no_grad():
        for parameter in trainers[0].policy.parameters():
            parameter[0] = torch.nan
    for trainer, history in zip(trainers, histories, strict=True):
        for step in range(1, 4):
            frames, ended = trainer.live(history)
            trainer.update(frames, step)
            history.count(ended, None, trainer.policy, trainer.divergence.step.tolist())
    assert histories[0].diverged == [1, NEVER]
    assert histories[0].going() == [False, True]
    ours, theirs = (t.policy.state_dict() for t in trainers)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name][1], value[1])


def test_an_interrupted_run_knows_what_has_diverged(tmp_path, monkeypatch):
    """Stopped after the update at which every seed did, and continued: the same tables."""
    chosen = settings(learning_rate=RATES[1])
    whole, shown = train(chosen)

    @contextmanager
    def soon():
        yield StopAfter(1)

    run = identity(chosen)
    monkeypatch.setattr(control_training, "stoppable", soon)
    with pytest.raises(Interrupted), Unfinished(tmp_path / "u", run, 1e9) as unfinished:
        train(chosen, None, None, unfinished)
    monkeypatch.undo()
    with Unfinished(tmp_path / "u", run, 1e9) as unfinished:
        table, again = train(chosen, None, None, unfinished)
    pd.testing.assert_frame_equal(whole, table, check_exact=True)
    pd.testing.assert_frame_equal(shown, again, check_exact=True)
