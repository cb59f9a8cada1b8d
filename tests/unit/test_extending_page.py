"""The examples of docs/extending.md run for estimators of every make; that of Gammas as it is."""

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
BITS, CHOICE = (
    next(b for b in BLOCKS if words in b)
    for words in ("seeds, latents, batch, samples =", "prices =")
)
# Without φ, with a baseline that sees the costs, with learned scales, and with a network.
NAMES = ("reinforce", "nvil", "muprop", "rebar", "relax")


def run(code, name, **changed):
    """What a block leaves behind, with another estimator and other numbers."""
    code = code.replace('load_estimator("relax")', f'load_estimator("{name}")')
    for old, new in changed.values():
        assert old in code
        code = code.replace(old, new)
    place = {}
    exec(code, place)
    return place


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_for_bits(name):
    """Few steps: it runs, moves the logits, and shows NVIL's baseline the costs."""
    place = run(BITS, name, steps=("range(3000)", "range(60)"), few=("20_000", "2_000"))
    assert torch.isfinite(place["z_scores"]).all()
    assert place["logits"].abs().max() > 0.01
    if name == "nvil":
        assert any(buffer.abs().max() > 0.1 for buffer in place["surrogate"].buffers())


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_for_a_choice(name):
    """The cheapest of the outcomes becomes the likeliest."""
    place = run(CHOICE, name, steps=("range(2000)", "range(300)"))
    probability = torch.softmax(place["logits"], -1)[:, 0]
    assert (probability.argmax(-1) == 1).all()


def test_the_example_of_a_gamma_variable(capsys):
    """It comes near 2, and narrower than it was."""
    page = PAGE.parent / "reparameterization.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    mean, deviation = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out))
    assert abs(mean - 2) < 0.25
    assert deviation < 0.8
