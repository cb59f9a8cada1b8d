"""The examples of docs/library.md run as they stand there, and do what the page says."""

import re
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
LOOP, COMPARED = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def trained():
    """What the page's loop leaves behind, and the processor time that it took."""
    place, started = {}, time.process_time()
    exec(LOOP, place)
    return place | {"seconds": time.process_time() - started}


def test_the_training_loop_learns_in_under_a_minute(trained):
    """Held-out images: above the pixels one by one, each with its own rate."""
    train, held_out = trained["train"], trained["held_out"]
    rate = train.mean(0).clamp(0.01, 0.99)
    alone = (held_out * rate.log() + (1 - held_out) * (1 - rate).log()).sum(-1).mean()
    assert trained["elbo"] > alone + 2
    assert trained["seconds"] < 60


def test_compare_ranks_the_estimators_of_the_trained_model(trained, capsys):
    exec(COMPARED, trained)
    table = trained["table"]
    shown = capsys.readouterr().out
    assert "variance x seconds" in shown, shown
    assert {"relax", "rloo", "disarm", "reinforce"} <= set(table.index)
    # Which is the point: the score function alone is far from the best of them.
    unbiased = table[table.unbiased]
    assert unbiased.variance["reinforce"] > 10 * unbiased.variance["relax"]
