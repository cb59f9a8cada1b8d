"""What used to give a plausible wrong number without a word: the right one now, or one sentence."""

from dataclasses import replace

import pytest
import torch
from unit.border import BATCH, LATENTS, NAMES, SEEDS, SPEC, cost, default_logits, estimate

import relax
from relax import Categorical, Gaussian, Noise, uniform_noise
from relax.errors import ArgumentError, NonFiniteError
from relax.estimators.bound import on_bound
from relax.estimators.learning import objective_gradients
from relax.estimators.registry import calls
from relax.exact.enumeration import enumerate_expectation
from relax.surrogates.base import Sum, ZeroSurrogate
from relax.surrogates.closed_forms import Relaxed, relaxed_form


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "cut",
    [
        lambda u: u[:, :, :1],  # one latent's noise would be that of all
        lambda u: u[:1],  # one replica's
        lambda u: u[:, :-1],  # rows that are no whole samples
        lambda u: u[0],
    ],
    ids=["latent", "replica", "rows", "axes"],
)
def test_noise_is_never_broadcast(name, cut):
    """Of RLOO and eleven others the mean was another gradient's, where one latent's noise did."""
    spec = replace(SPEC, samples=4)
    rows = relax.load_estimator(name).samples(spec) * BATCH
    u = uniform_noise(SEEDS, "noise", 0, (rows, LATENTS))
    with pytest.raises(ArgumentError, match=r"noise.u must be \["):
        estimate(name, noise=Noise(cut(u)), spec=spec)
    estimate(name, noise=Noise(u), spec=spec)


@pytest.mark.parametrize("name", ["reinforce", "arms", "local_expectation", "exact"])
def test_a_cost_that_changes_b_in_place_is_refused(name):
    def in_place(b):
        return cost(b.mul_(2).sub_(1))

    with pytest.raises(ArgumentError, match="the cost 'in_place' changes in place the b"):
        estimate(name, in_place)
    with pytest.raises(ArgumentError, match="changes in place the b"):
        relax.enumerate_gradient(lambda b: cost(b.contiguous()) + b.mul_(2).sum(-1), one_row())


def one_row():
    return torch.zeros(1, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("name", ["exact", "local_expectation", "bitflip"])
def test_a_cost_that_is_infinite_elsewhere_than_at_the_sample_is_seen(name):
    def infinite_at_zero(b):
        return cost(b) + torch.where(b.sum(-1) == 0, torch.inf, 0.0)

    # b is all ones in every row; one flip away are the values that these ask for, of one latent.
    logits, noise = one_row(), Noise(torch.full((1, 1, 1), 0.9, dtype=torch.float64))
    spec = replace(SPEC, latents=1)
    with pytest.raises(NonFiniteError, match="gradient is not finite in 1 of 1 places, though"):
        estimate(name, infinite_at_zero, logits=logits, noise=noise, spec=spec)


@pytest.mark.parametrize("name", ["reinforce", "nvil", "rloo", "exact", "rebar"])
def test_a_relaxation_that_is_forgotten_in_the_estimate_is_missed(name):
    """Their surrogates did not say what they were for, and b was no longer one-hot."""
    estimator = relax.load_estimator(name)
    surrogate = estimator.surrogate(replace(SPEC, relaxation=Categorical()), SEEDS)
    rows = estimator.samples(SPEC) * BATCH
    noise = Noise(uniform_noise(SEEDS, "noise", 0, (rows, LATENTS)))
    with pytest.raises(ArgumentError, match=r"made for Categorical\(\) and the .* Bernoulli\(\)"):
        estimator.estimate(surrogate, cost, default_logits(), noise)


@pytest.mark.parametrize("relaxation", [Categorical(), Gaussian()], ids=repr)
@pytest.mark.parametrize("name", ["reinforce", "nvil"])
def test_copies_side_by_side_are_of_bits_alone(name, relaxation):
    logits = torch.zeros(1, 1, 4, dtype=torch.float64)
    width = relaxation.noise_shape(logits)[-1]
    estimator = relax.load_estimator(name)
    spec = replace(SPEC, latents=2 * width, relaxation=relaxation)
    noise = Noise(uniform_noise([0], "noise", 0, (2, width)))
    surrogate = estimator.surrogate(spec, [0])
    with pytest.raises(ArgumentError, match="on_bound is for bernoulli latents, not"):
        on_bound(estimator).estimate(surrogate, cost, logits, noise, None, relaxation)


@pytest.mark.parametrize("name", ["straight_through", "reinmax"])
def test_a_rule_of_two_values_is_not_for_gaussians(name):
    """ReinMax gave 3/2 of the reparameterization gradient."""
    spec = replace(SPEC, latents=1, relaxation=Gaussian())
    logits = torch.zeros(2, BATCH, 2, dtype=torch.float64)
    with pytest.raises(ArgumentError, match=f"{name} is for bernoulli and categorical"):
        estimate(name, logits=logits, spec=spec)


@pytest.mark.parametrize("name", ["relax", "rebar", "nvil"])
def test_phi_learns_the_same_of_logits_by_variable(name):
    """Its gradient was batch / variables times that of the same logits without the axis."""
    relaxation = Categorical(variables=2)
    spec = replace(SPEC, latents=6, relaxation=relaxation)
    logits = uniform_noise(SEEDS, "noise", 1, (BATCH, 6))

    def by_variable(b):
        return cost(b.flatten(-2))

    found = []
    for f, given in ((cost, logits), (by_variable, logits.unflatten(-1, (2, 3)))):
        made, surrogate, estimator = estimate(name, f, logits=given, spec=spec)
        parameters = surrogate.learned_parameters()
        found.append([g for _, g in objective_gradients(estimator, parameters, [made])])
        assert relax.variance_objective(made.gradient).shape == (2,)
    for flat, shaped in zip(*found, strict=True):
        torch.testing.assert_close(flat, shaped)


def test_a_surrogate_that_is_used_twice_learns_from_both_estimates():
    """Written out, φ's gradient was that of the last estimate alone; by the tape it is the sum."""
    spec = replace(SPEC, squash=False, add_relaxed_cost=False)
    estimator = relax.load_estimator("relax")
    surrogate = estimator.surrogate(spec, relax.parameter_generators(SEEDS))
    parameters = surrogate.learned_parameters()
    noises = [Noise(uniform_noise(SEEDS, "noise", step, (BATCH, LATENTS))) for step in (0, 1)]
    made = [estimator.estimate(surrogate, cost, default_logits(), noise) for noise in noises]
    each = [dict(objective_gradients(estimator, parameters, [one])) for one in made]
    for parameter, both in objective_gradients(estimator, parameters, made):
        torch.testing.assert_close(both, each[0][parameter] + each[1][parameter])


def test_a_network_that_is_in_c_twice_learns_as_the_tape_says():
    estimator = relax.load_estimator("relax")
    spec = replace(SPEC, squash=False, add_relaxed_cost=False)
    network = estimator.surrogate(spec, relax.parameter_generators(SEEDS))
    twice = Sum(network, network)
    noise = Noise(uniform_noise(SEEDS, "noise", 0, (BATCH, LATENTS)))
    made = estimator.estimate(twice, cost, default_logits(), noise)
    assert made.written_out is not None
    parameters = network.learned_parameters()
    objective = relax.variance_objective(made.gradient).sum()
    expected = torch.autograd.grad(objective, parameters)
    for (_, g), e in zip(objective_gradients(estimator, parameters, [made]), expected, strict=True):
        torch.testing.assert_close(g, e)


def test_eta_learns_where_the_temperature_is_held():
    """It ended in an AssertionError without a word."""
    z = torch.randn(1, 2, 3, dtype=torch.float64)
    log_temperature = torch.zeros(1, 1, 1, dtype=torch.float64)
    scale = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)

    def relaxed(y, inverse, tangent):
        assert tangent is None
        return Relaxed(y.square().sum(-1), 2 * y)

    value, slope = relaxed_form(relaxed, z, log_temperature, scale).value_and_slope()
    (found,) = torch.autograd.grad(value.sum() + slope.sum(), scale)
    y = torch.sigmoid(z)
    expected = y.square().sum() + (2 * y * y * (1 - y)).sum()
    torch.testing.assert_close(found.sum(), expected)


def test_a_masked_value_is_not_drawn_at_the_edges_of_float32():
    """1 - u rounds to 1, whose logit is infinite, and 1 - d to 0, which is below every m."""
    edges = torch.tensor([0.0, 1 - 2.0**-24, 2.0**-24, 0.5], dtype=torch.float32)
    u = torch.cartesian_prod(edges, edges).view(-1, 2, 1, 1)  # pairs of samples
    low = torch.full((len(u), 1, 1), -torch.inf)
    for name in ("disarm", "arms", "arm", "rloo"):
        estimator = relax.load_estimator(name)
        for sign, value in ((1, 0.0), (-1, 1.0)):
            made = estimator.estimate(
                ZeroSurrogate(), lambda b: b.sum(-1), sign * low, Noise(u.squeeze(-1))
            )
            assert (made.sample == value).all(), name
    masked = torch.tensor([0.0, -torch.inf]).expand(len(u), 1, 2)
    made = relax.load_estimator("disarm_tree").estimate(
        *(ZeroSurrogate(), lambda b: b[..., 0], masked),
        *(Noise(u.squeeze(-1).expand(-1, -1, 2)), None, Categorical()),
    )
    assert (made.sample[..., 1] == 0).all()


def test_a_tree_of_one_outcome_has_nothing_to_say():
    made = relax.load_estimator("disarm_tree").estimate(
        *(ZeroSurrogate(), lambda b: b.sum(-1), torch.zeros(1, 3, 1)),
        *(Noise(torch.rand(1, 6, 1)), None, Categorical()),
    )
    assert (made.sample == 1).all()
    assert (made.gradient == 0).all()


def test_an_expectation_by_enumeration_leaves_out_what_is_impossible():
    logits = torch.tensor([[[0.0, 0.0, -torch.inf]]], dtype=torch.float64)

    def infinite_there(b):
        return torch.where(b[..., 2] > 0, torch.inf, b[..., 0])

    found = enumerate_expectation(infinite_there, logits, Categorical())
    assert found.item() == 0.5
    with pytest.raises(ArgumentError, match="must return a value for every sample"):
        enumerate_expectation(lambda b: b.mean(), logits, Categorical())


def test_quadrature_says_where_rounding_ends_it():
    reinforce, surrogate = relax.load_estimator("reinforce"), ZeroSurrogate()
    for logit in (26.0, -38.0, torch.nan):
        with pytest.raises(ArgumentError, match="quadrature takes logits from -25 to 25"):
            relax.exact_moments(reinforce, surrogate, cost, one_row() + logit)
    with pytest.raises(ArgumentError, match=r"must be \[replica, 1, latent\]"):
        relax.exact_moments(reinforce, surrogate, cost, one_row().expand(1, 2, 1))

    def squared(b):
        return (b.sum(-1) - 0.45).square()

    for logit in (25.0, -25.0):
        found = relax.exact_moments(reinforce, surrogate, squared, one_row() + logit).mean
        theta = torch.sigmoid(torch.tensor(logit, dtype=torch.float64))
        torch.testing.assert_close(
            found.squeeze(),
            theta * torch.sigmoid(torch.tensor(-logit).double()) * 0.1,
            rtol=1e-4,
            atol=0,
        )


def test_exact_counts_values_not_bits():
    """One choice among 20 has 20 values; as 20 bits it was refused."""
    E = relax.Expectation("exact", latents=(1, 20))
    weight = torch.arange(20.0)
    logits = torch.zeros(1, 20, requires_grad=True)
    E(lambda b: (b * weight).sum((-2, -1)), logits).backward()
    torch.testing.assert_close(logits.grad[0], (weight - weight.mean()) / 20)
    with pytest.raises(ArgumentError, match="takes at most 16 latents"):
        relax.Expectation("exact", latents=(9, 4))
    assert calls("exact", latents=3).evaluations == 9
