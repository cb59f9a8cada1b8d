"""Random streams: addressed, independent, inside the open interval."""

import numpy as np
import pytest
import torch

from relax.numerics.streams import NoiseStream, _fill, generator, uniform_noise


def test_a_seeds_noise_does_not_depend_on_its_neighbours():
    together = uniform_noise([3, 4, 5], "noise", 7, (10, 2))
    assert torch.equal(uniform_noise([4], "noise", 7, (10, 2))[0], together[1])


@pytest.mark.parametrize(
    "other",
    [(1, "noise", 0), (0, "evaluation", 0), (0, "noise", 1)],
    ids=["seed", "purpose", "index"],
)
def test_streams_differ_in_every_part_of_their_address(other):
    first, second = generator(0, "noise", 0).random(1000), generator(*other).random(1000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15  # five standard errors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_is_replaced_and_logits_are_finite(dtype, monkeypatch):
    """The stream may draw an exact zero; a generator that draws nothing else shows the repair."""

    class Zeros:
        def random(self, dtype, out):
            out[:] = 0.0

    monkeypatch.setattr("relax.numerics.streams.generator", lambda *address: Zeros())
    noise = uniform_noise([0], "noise", 0, (4,), dtype)
    assert (noise > 0).all()
    assert torch.isfinite(torch.logit(noise)).all()


@pytest.mark.parametrize("shape", [(7,), (20, 1, 8, 110), (1023,), (1024,), (3, 343), (2, 4, 999)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_numbers_at_once_are_those_that_numpy_draws(shape, dtype):
    """Whatever the shape: few, many, an odd number; and what is drawn next is the same too."""
    ours, theirs = generator(2, "noise", 3), generator(2, "noise", 3)
    found = np.empty(shape, dtype)
    _fill(found, ours)
    assert np.array_equal(found, theirs.random(shape, dtype))
    assert ours.random() == theirs.random()


def test_noise_stream_can_start_anywhere():
    """Step 25 is the same whether or not steps 0 to 24 were drawn: resuming needs only the step."""
    arguments = ([0, 1], "noise", 3, 2, "independent", torch.float64)
    walked, jumped = NoiseStream(*arguments, block=10), NoiseStream(*arguments, block=10)
    for step in range(26):
        expected = walked(step)
    assert torch.equal(jumped(25).u, expected.u)
    assert torch.equal(jumped(25).v, expected.v)
    assert not torch.equal(jumped(24).u, expected.u)


def test_coupled_noise_has_no_v():
    assert NoiseStream([0], "noise", 3, 2, "coupled", torch.float32)(0).v is None
