"""The examples of docs/library.md run as they stand there, and do what the page says."""

import re
import time
from pathlib import Path

import pytest
import torch

import relax

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
LOOP, NESTED, COMPARED = re.findall(
    r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


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


def test_a_layer_inside_the_cost_of_another_is_unbiased():
    """Against all values of both; a false alarm once in 18,000, and another truth is told apart."""
    torch.manual_seed(0)
    place = {"torch": torch, "relax": relax}
    exec(NESTED, place)
    assert all(
        p.grad is not None for E in (place["first"], place["second"]) for p in E.parameters()
    )
    logits = torch.zeros(20_000, 8, requires_grad=True)
    place["first"](place["given_first"], logits).sum().backward()
    drawn = logits.grad.double()
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 8).double()

    def gradient(weight):
        law = torch.distributions.Bernoulli(logits=states @ weight.double())
        p = law.log_prob(states.unsqueeze(1)).sum(-1).exp()  # of b2, given b1: [b2, b1]
        value = (p * place["energy"](states.unsqueeze(0), states.unsqueeze(1))).sum(0)
        return (value.unsqueeze(-1) * (states - 0.5)).mean(0)

    error = drawn.std(0) / len(drawn) ** 0.5
    assert ((drawn.mean(0) - gradient(place["weight"])) / error).abs().max() < 4.5
    assert ((drawn.mean(0) - gradient(-place["weight"])) / error).abs().max() > 10


def test_compare_ranks_the_estimators_of_the_trained_model(trained, capsys):
    exec(COMPARED, trained)
    table = trained["table"]
    shown = capsys.readouterr().out
    assert "variance x seconds" in shown, shown
    assert {"relax", "rloo", "disarm", "reinforce"} <= set(table.index)
    # Which is the point: the score function alone is far from the best of them.
    unbiased = table[table.unbiased]
    assert unbiased.variance["reinforce"] > 10 * unbiased.variance["relax"]
