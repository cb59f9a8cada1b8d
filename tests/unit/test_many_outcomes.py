"""One choice among very many outcomes: the tail of the noise, and numbers that stay finite."""

from dataclasses import replace

import torch
from unit.border import (
    CATEGORICAL,
    SEEDS,
    SPEC,
    cost,
    estimate,
)

import relax
from relax import Noise, NoiseStream, uniform_noise


def test_the_tail_of_very_many_outcomes_is_drawn():
    """One outcome against 262,144 that share 3e-4: float32 noise ends before they come.

    Of the many only the one with the largest Gumbel counts: its u is that of the maximum of as many
    uniforms, q^(1/262144), for q spread evenly over (0, 1). The logits are float32.
    """
    many, share, rows = 2**18, 3e-4, 400_000
    theta = torch.tensor([1 - share, share / many], dtype=torch.float64)
    logits = theta.log().float().expand(1, rows, 2)
    q = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    first = uniform_noise([3], "noise", 0, (rows,))
    u = torch.stack([first[0], q ** (1 / many)], -1).unsqueeze(0)

    def drawn(u):
        noise = Noise(u)
        spec = replace(SPEC, latents=2, dtype=torch.float32, relaxation=CATEGORICAL)
        reinforce = relax.load_estimator("reinforce")
        made = reinforce.estimate(
            reinforce.surrogate(spec, []), cost, logits, noise, relaxation=CATEGORICAL
        )
        assert made.gradient.dtype == torch.float32
        return made.sample[..., 1].sum().item()

    expected = share * rows
    assert abs(drawn(u) - expected) < 4 * expected**0.5
    assert drawn(u.float()) == 0  # negative control: what uniforms of 24 bits give
    assert (
        NoiseStream([0], "noise", 1, 2, "coupled", CATEGORICAL.noise_type(torch.float32))(0).u.dtype
        == torch.float64
    )


def test_as_many_outcomes_at_once_give_finite_numbers():
    wide = 2**18 + 1
    spec = replace(SPEC, latents=wide, hidden=(2,), dtype=torch.float32, relaxation=CATEGORICAL)
    u = uniform_noise(SEEDS, "noise", 0, (1, wide))
    parts = estimate("relax", logits=torch.zeros(2, 1, wide), noise=Noise(u), spec=spec)
    assert torch.isfinite(parts[0].gradient).all()
    assert (parts[0].sample.sum(-1) == 1).all()
