"""Logits that are certain: masked outcomes, probabilities of exactly 0 and 1."""

from dataclasses import replace

import pytest
import torch
from unit.border import (
    CATEGORICAL,
    KINDS,
    NAMES,
    SEEDS,
    SPEC,
    cost,
    default_logits,
    estimate,
    in_phi,
)

import relax
from relax import Bernoulli, Categorical, Noise, uniform_noise

# Logits with certainties, and for each the same problem without them: the columns that are left.
CERTAIN = {
    "masked": (replace(SPEC, latents=5, relaxation=CATEGORICAL), (1, 3), -torch.inf),
    "masked in one of two": (
        replace(SPEC, latents=6, relaxation=Categorical(variables=2)),
        (1, 5),
        -torch.inf,
    ),
    "probability 0": (replace(SPEC, latents=4), (0,), -torch.inf),
    "probability 1": (replace(SPEC, latents=4), (2,), torch.inf),
}


def certain_problem(case):
    spec, places, value = CERTAIN[case]
    logits = default_logits(spec).clone()
    logits[..., places] = value
    return spec, logits, list(places)


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CERTAIN)
@pytest.mark.parametrize("name", NAMES)
def test_certainties_stay_finite_and_get_no_gradient(name, case, kind, squash):
    spec, logits, places = certain_problem(case)
    if spec.relaxation.kind not in relax.estimators.registry.REGISTRY[name].kinds:
        pytest.skip(f"{name} is not for {spec.relaxation.kind} latents")
    spec = replace(spec, squash=squash)
    parts = estimate(name, logits=logits, spec=spec, kind=kind)
    made = parts[0]
    assert torch.isfinite(made.gradient).all()
    assert (made.gradient[..., places] == 0).all()
    assert (made.gradient.abs().sum((1, 2)) > 1e-6).all()
    assert (made.sample[..., places] == (1 if case == "probability 1" else 0)).all()
    for gradient in in_phi(*parts):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", CERTAIN)
def test_the_rest_is_as_if_certainties_were_not_there(case):
    """Entropy, log p, and the exact gradient, where f is never asked at a masked outcome."""
    spec, logits, places = certain_problem(case)
    relaxation = spec.relaxation
    b, _, _ = estimate("reinforce", logits=logits, spec=spec)
    entropy = relaxation.entropy(logits)
    near = logits.clamp(-60, 60)
    torch.testing.assert_close(entropy, relaxation.entropy(near))
    torch.testing.assert_close(
        relaxation.log_prob(logits, b.sample), relaxation.log_prob(near, b.sample)
    )
    forbidden = 0.0 if case == "probability 1" else 1.0

    def nan_where_never_drawn(b):
        return torch.where((b[..., places] == forbidden).any(-1), torch.nan, cost(b))

    found = relax.enumerate_gradient(nan_where_never_drawn, logits, relaxation)
    torch.testing.assert_close(found, relax.enumerate_gradient(cost, near, relaxation))
    assert (found[..., places] == 0).all()


def test_entropy_of_a_masked_pair_is_log_2():
    logits = torch.tensor([[[0.3, 0.3, -torch.inf]]], dtype=torch.float64)
    assert CATEGORICAL.entropy(logits).item() == pytest.approx(torch.tensor(2.0).log().item())
    certain = torch.tensor([[[torch.inf, -torch.inf]]], dtype=torch.float64)
    assert Bernoulli().entropy(certain).item() == 0


def test_a_masked_estimate_is_unbiased():
    """Against enumeration over the outcomes that are left; the seed is fixed, 4.5 errors."""
    spec, logits, places = certain_problem("masked")
    logits = logits[:, :1]
    rows = 40_000
    u, v = uniform_noise(SEEDS, "noise", 3, (2, rows, spec.latents)).unbind(1)
    exact = relax.enumerate_gradient(cost, logits, CATEGORICAL).squeeze(1)
    left = [i for i in range(spec.latents) if i not in places]
    for noise in (Noise(u, v), Noise(u)):
        made, _, _ = estimate("relax", logits=logits.expand(-1, rows, -1), noise=noise, spec=spec)
        moments = relax.sample_moments(made.gradient.detach())
        errors = (moments.variance / rows).sqrt()[:, left]
        z = (moments.mean - exact)[:, left] / errors
        assert (z.abs() < 4.5).all()
        assert (((moments.mean * 0.9) - exact)[:, left] / errors).abs().max() > 4.5  # its power
