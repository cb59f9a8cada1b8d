"""The recursion, equations (11) to (16) of docs/reparameterization.md."""

import pytest
import torch
from unit.test_reparameterization import (
    BETA,
    GAMMA,
    LOGISTIC,
    NORMAL,
    STANDARDISED,
    Bent,
    Both,
    TheCost,
    exact_gradient,
    kinked,
    parameters_of,
    samples,
)

from relax.errors import ArgumentError
from relax.estimators.formula import control_variate_estimate
from relax.estimators.reparameterization import DECOMPOSITIONS, path_estimate
from relax.exact.densities import best_in_span, density_nodes, weighted_moments
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, generator
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.network import Network


@pytest.mark.parametrize("name", DECOMPOSITIONS)
@pytest.mark.parametrize("law", STANDARDISED, ids=repr)
def test_11_unbiased_for_any_c(law, name):
    expected = exact_gradient(law, "score_function", kinked)
    found = exact_gradient(law, name, kinked, Bent())
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_11_control_a_path_without_its_weight():
    """The generalised gradient without its correction is biased."""
    law = GAMMA
    z, weights = density_nodes(law, parameters_of(law), (0.6,), panels=60)
    wide = parameters_of(law, z.shape[1]).contiguous()
    estimate = path_estimate("generalised", law.at(wide, z), kinked)
    mean = weighted_moments(estimate.reparameterization, weights).mean
    assert (mean - exact_gradient(law, "generalised", kinked))[:, 0].abs().min() > 0.05


@pytest.mark.parametrize("law", [GAMMA, BETA], ids=repr)
def test_12_and_13_ends_of_the_recursion(law):
    """To the last digits, at every sample."""
    parameters, z = samples(law)
    drawn = law.at(parameters, z)

    def gradient(name, surrogate=None):
        return path_estimate(name, drawn, kinked, surrogate).gradient.detach()

    assert torch.equal(gradient("recursive"), gradient("generalised"))
    same = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(gradient("recursive", TheCost()), gradient("implicit"), **same)
    torch.testing.assert_close(gradient("lax", TheCost()), gradient("implicit"), **same)
    torch.testing.assert_close(gradient("lax", Both()), gradient("implicit_lax", Bent()), **same)
    middle = gradient("recursive", Bent())
    assert not torch.allclose(middle, gradient("generalised"))
    assert not torch.allclose(middle, gradient("implicit"))


def test_terms_add_up():
    law = GAMMA
    drawn = law.at(*samples(law))
    for name in DECOMPOSITIONS:
        found = path_estimate(name, drawn, kinked, Bent())
        total = found.reparameterization + found.correction + found.recursion
        torch.testing.assert_close(found.gradient, total)


def test_14_epsilon_is_b_and_v():
    """Its density is p(b) where it is, and nothing else; s is b's score."""
    law = LOGISTIC
    parameters, z = samples(law)
    b = (z > 0).double()
    epsilon = law.inverse(parameters, z)
    assert torch.equal(torch.floor(epsilon), b)
    probability = torch.where(b > 0, torch.sigmoid(parameters), torch.sigmoid(-parameters))
    log, _ = law.log_law(parameters, epsilon)
    torch.testing.assert_close(log.exp(), probability)
    torch.testing.assert_close(law.path(parameters, z).weight, b - torch.sigmoid(parameters))


def step_cost(z):
    """f(H(z))."""
    return ((z > 0).double().squeeze(-1) - 0.45).square() + 0.0 * z.squeeze(-1)


def test_15_and_16_relax_is_the_recursion():
    """With coupled noise, at every sample; and a c that crosses its step is not allowed."""
    law = LOGISTIC
    parameters, z = samples(law)
    spec = SurrogateSpec(latents=1, hidden=(5,))
    surrogate = Network(spec, parameter_generators([0, 1]))
    drawn = law.at(parameters, z)

    def cost(b):
        return (b.squeeze(-1) - 0.45).square()

    u = torch.sigmoid(z - parameters)
    for c in (surrogate, None):
        found = path_estimate("recursive", drawn, step_cost, c)
        assert not found.reparameterization.any()
        other = control_variate_estimate(surrogate, cost, parameters, Noise(u))
        if c is None:
            theta = torch.sigmoid(parameters)
            b = (z > 0).double()
            expected = cost(b).unsqueeze(-1) * (b - theta)
        else:
            expected = other.gradient
        torch.testing.assert_close(found.gradient, expected, rtol=1e-10, atol=1e-12)
    assert not path_estimate("recursive", drawn, step_cost, TheCost()).gradient.any()


@pytest.mark.parametrize("name", ["lax", "score_recursive"])
def test_a_black_box_is_never_differentiated(name):
    """A staircase: unbiased where f is not differentiated, wrong where it is."""
    law = GAMMA

    def stairs(z):
        assert not z.requires_grad
        return (torch.floor(z) - 2).square().squeeze(-1)

    breaks = tuple(map(float, range(1, 60)))
    expected = exact_gradient(law, "score_function", stairs, breaks=breaks)
    found = exact_gradient(law, name, stairs, Bent(), breaks)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_best_in_a_span_is_the_least():
    """No other weights do better; with c = f in the span, LAX is the implicit gradient at most."""
    law = GAMMA
    z, weights = density_nodes(law, parameters_of(law), (0.6,), panels=60)
    drawn = law.at(parameters_of(law, z.shape[1]).contiguous(), z)
    g = path_estimate("score_function", drawn, kinked).gradient[..., :1]
    through_f = path_estimate("implicit", drawn, kinked).gradient[..., :1] - g
    more = path_estimate("lax", drawn, kinked, Bent()).gradient[..., :1].detach() - g
    controls = torch.cat([through_f, more], -1)
    best = best_in_span(g, controls, weights).variance
    for shift in ((0.0, 0.0), (1.0, 0.0), (0.9, 0.1), (1.0, -0.2)):
        other = g + (controls * torch.tensor(shift, dtype=torch.float64)).sum(-1, keepdim=True)
        assert (best <= weighted_moments(other, weights).variance + 1e-12).all()


def refused(call, *words):
    with pytest.raises(ArgumentError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_what_is_not_allowed_is_refused_in_a_sentence():
    law, z = GAMMA, torch.ones(1, 2, 1, dtype=torch.float64)
    fine = torch.ones(1, 2, 2, dtype=torch.float64)
    for value in (0.0, -0.3, torch.nan, torch.inf):
        wrong = fine.clone()
        wrong[0, 1, 0] = value
        words = ("concentration of Gamma", "greater than 0", f"{value:g}", "[0, 1, 0]")
        refused(lambda wrong=wrong: law.at(wrong, z), *words)
        refused(lambda wrong=wrong: law.draw(wrong, [generator(0, "noise")]), *words)
    refused(lambda: law.at(fine, -z), "a sample of Gamma", "-1")
    refused(lambda: BETA.at(fine, 2 * z), "between 0 and 1")
    refused(lambda: NORMAL.at(torch.zeros_like(fine), z), "deviation of Normal")
    refused(lambda: law.at(fine[..., :1], z), "concentration and rate")
    refused(lambda: law.at(fine.repeat(1, 1, 2), z), "[1, 2, 2]")
    refused(lambda: law.at(fine, z, ("pathwise",)), "score, transformation, implicit")
    drawn = law.at(fine, z, ("score",))
    refused(lambda: path_estimate("reparam", drawn, kinked), "score_function", "reparam")
    refused(lambda: path_estimate("generalised", drawn, kinked), "a path that generalised needs")
    refused(lambda: path_estimate("score_function", drawn, lambda z: z), "[1, 2]", "[1, 2, 1]")
    drawn = law.at(fine, z)
    refused(
        lambda: path_estimate("implicit", drawn, lambda z: z.detach().squeeze(-1)),
        "implicit differentiates the cost",
        "lax",
    )
    refused(lambda: density_nodes(law, fine), "one latent")
    refused(lambda: density_nodes(law, 0.01 * fine[:, :1]), "concentration", "0.05", "0.01")
