"""`relax.Expectation` in a plain PyTorch loop: which gradient goes where, and how often."""

import copy

import pytest
import torch
from torch import distributions, nn
from unit.plain import LOGITS, cost, expectation

import relax
from relax.frontdoor.noise import draw_noise

DECODER = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(3, 2)


def decoded(weight):
    """f with a parameter of its own, nonlinear in both."""
    return lambda b: torch.tanh(b @ weight).sum(-1)


def every_state():
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def run(name="relax", reduce=torch.sum, rows=5, weight=None, seed=3, **settings):
    """One call and its backward pass: the gradients of logits, weight and φ."""
    torch.manual_seed(0)
    E = expectation(name, **settings)
    torch.manual_seed(seed)
    logits = LOGITS.expand(rows, 3).clone().requires_grad_()
    weight = (DECODER if weight is None else weight).clone().requires_grad_()
    reduce(E(decoded(weight), logits)).backward()
    return logits.grad, weight.grad, gradients(E)


def test_the_gradients_are_the_packages_own():
    """Written out with the estimator's functions, the same noise and the replica axis."""
    for name in ("relax", "rebar", "nvil"):
        given = run(name)
        torch.manual_seed(0)
        E = expectation(name)
        torch.manual_seed(3)
        noise = draw_noise((1, 5, 3), torch.float64, "cpu", "coupled")
        weight = DECODER.clone().requires_grad_()
        own = relax.load_estimator(name)
        estimate = own.estimate(E.surrogate, decoded(weight), LOGITS.expand(1, 5, 3), noise)
        torch.testing.assert_close(given[0], estimate.gradient[0].detach())
        (of_weight,) = torch.autograd.grad(estimate.cost.sum(), weight, retain_graph=True)
        torch.testing.assert_close(given[1], of_weight)
        phi = dict(E.named_parameters())
        wanted = torch.autograd.grad(own.objective(estimate).sum(), phi.values())
        assert phi
        for key, gradient in zip(phi, wanted, strict=True):
            torch.testing.assert_close(given[2][key], gradient, msg=f"{name}: {key}")


@pytest.mark.parametrize(
    "reduce",
    [
        torch.mean,
        torch.sum,
        lambda loss: (loss * torch.arange(5.0)).sum(),
        lambda loss: torch.logsumexp(loss, 0),
        lambda loss: 0 * loss.sum(),
    ],
    ids=["mean", "sum", "weighted", "logsumexp", "nothing"],
)
def test_a_reduction_weights_the_logits_and_leaves_phi_alone(reduce):
    torch.manual_seed(0)
    E = expectation("relax")
    torch.manual_seed(3)
    value = E(decoded(DECODER), LOGITS.expand(5, 3)).detach().requires_grad_()
    (weights,) = torch.autograd.grad(reduce(value), value)
    whole, _, phi = run()
    reduced, of_weight_reduced, phi_reduced = run(reduce=reduce)
    torch.testing.assert_close(reduced, weights.unsqueeze(-1) * whole)
    assert phi_reduced.keys() == phi.keys()
    for key, gradient in phi.items():
        torch.testing.assert_close(phi_reduced[key], gradient, rtol=0, atol=0)
    if not weights.any():
        assert not of_weight_reduced.any()


def test_the_direct_term_arrives_by_itself():
    """Where f contains log q(b | logits), d f / d logits at the b drawn is added."""
    alpha = LOGITS.expand(5, 3).clone().requires_grad_()
    torch.manual_seed(0)
    E = expectation("reinforce")

    def entropic(b):
        return distributions.Bernoulli(logits=alpha).log_prob(b).sum(-1) + cost(b)

    torch.manual_seed(3)
    E(entropic, alpha).sum().backward()
    torch.manual_seed(3)
    measured = E.estimate(entropic, alpha)
    direct = measured.sample - torch.sigmoid(alpha)  # ∂ log q(b) / ∂ logits
    torch.testing.assert_close(alpha.grad, (measured.gradient + direct).detach())
    # and autograd carries both on to what the logits come from
    encoder = nn.Linear(2, 3).double()
    x = torch.ones(5, 2, dtype=torch.float64)
    alpha = encoder(x)
    torch.manual_seed(3)
    E(entropic, alpha).sum().backward()
    torch.manual_seed(3)
    measured = E.estimate(entropic, alpha)
    whole = measured.gradient + measured.sample - torch.sigmoid(alpha)
    torch.testing.assert_close(encoder.bias.grad, whole.sum(0).detach())


def test_gradients_accumulate_over_calls():
    torch.manual_seed(0)
    E = expectation("relax")
    logits = LOGITS.clone().requires_grad_()
    apart = []
    for seed in (1, 2):
        E.zero_grad()
        logits.grad = None
        torch.manual_seed(seed)
        E(cost, logits).backward()
        apart.append((logits.grad, *gradients(E).values()))
    E.zero_grad()
    logits.grad = None
    for seed in (1, 2):  # a backward pass each
        torch.manual_seed(seed)
        E(cost, logits).backward()
    accumulated = (logits.grad, *gradients(E).values())
    E.zero_grad()
    logits.grad = None
    losses = []
    for seed in (1, 2):  # both calls before one backward pass
        torch.manual_seed(seed)
        losses.append(E(cost, logits))
    sum(losses).backward()
    together = (logits.grad, *gradients(E).values())
    for first, second, a, b in zip(*apart, accumulated, together, strict=True):
        torch.testing.assert_close(a, first + second)
        torch.testing.assert_close(b, first + second)


def test_a_backward_pass_may_be_repeated():
    """With retain_graph; what was accumulated is no one's memory."""
    torch.manual_seed(0)
    E = expectation("relax")
    logits = LOGITS.clone().requires_grad_()
    loss = E(cost, logits)
    loss.backward(retain_graph=True)
    once = (logits.grad.clone(), *gradients(E).values())
    loss.backward()
    for first, both in zip(once, (logits.grad, *gradients(E).values()), strict=True):
        torch.testing.assert_close(both, 2 * first)


def test_several_expectations_in_one_loss():
    """Each has the gradients that it has alone; one may sit in the other's cost."""
    alone = []
    for name, seed in (("relax", 1), ("rebar", 2)):
        torch.manual_seed(0)
        E, logits = expectation(name), LOGITS.clone().requires_grad_()
        torch.manual_seed(seed)
        E(cost, logits).backward()
        alone.append((logits.grad, gradients(E)))
    torch.manual_seed(0)
    first, a = expectation("relax"), LOGITS.clone().requires_grad_()
    torch.manual_seed(0)
    second, b = expectation("rebar"), LOGITS.clone().requires_grad_()
    torch.manual_seed(1)
    loss = first(cost, a)
    torch.manual_seed(2)
    (loss + 3 * second(cost, b)).backward()
    torch.testing.assert_close(a.grad, alone[0][0])
    torch.testing.assert_close(b.grad, 3 * alone[1][0])
    for E, (_, phi) in zip((first, second), alone, strict=True):
        assert gradients(E).keys() == phi.keys()
        assert all(torch.equal(g, phi[key]) for key, g in gradients(E).items())


def test_two_layers_of_latents():
    """f of the first is an Expectation over the second, whose logits depend on the first's b."""
    torch.manual_seed(0)
    outer, inner = expectation("rebar"), expectation("rebar")
    a, weight = LOGITS.clone().requires_grad_(), (2 * torch.eye(3)).double().requires_grad_()
    outer(lambda b: inner(cost, b @ weight - 1), a.expand(50_000, 3)).mean().backward()
    # the truth, by enumeration of both layers
    alpha, w = LOGITS.clone().requires_grad_(), weight.detach().clone().requires_grad_()
    states = every_state()
    p = distributions.Bernoulli(logits=alpha).log_prob(states).sum(-1).exp()
    q = distributions.Bernoulli(logits=(states @ w - 1).unsqueeze(1))
    inside = (q.log_prob(states.unsqueeze(0)).sum(-1).exp() * cost(states)).sum(-1)
    (p * inside).sum().backward()
    for estimated, exact in ((a.grad, alpha.grad), (weight.grad, w.grad)):
        assert (estimated - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("name", ["relax", "rebar", "nvil", "muprop", "concrete", "exact"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_there_is_a_value_and_nothing_is_learned(name, mode):
    torch.manual_seed(0)
    E = expectation(name)
    before = copy.deepcopy(E.state_dict())
    with mode():
        alpha = LOGITS.expand(4, 3) + 0  # made here: an inference tensor
        value = E(cost, alpha)
        measured = E.estimate(cost, alpha)
    assert value.shape == (4,)
    assert not value.requires_grad
    assert set(value.tolist()) <= {cost(b).item() for b in every_state()}
    assert measured.gradient.shape == (4, 3)
    torch.testing.assert_close(measured.value, cost(measured.sample))
    for key, kept in E.state_dict().items():
        assert torch.equal(kept, before[key]), key


def test_estimate_touches_nothing():
    torch.manual_seed(0)
    E = expectation("nvil")
    weight, alpha = DECODER.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    before = copy.deepcopy(E.state_dict())
    measured = E.estimate(decoded(weight), alpha)
    assert not any(part.requires_grad for part in measured)
    assert weight.grad is None
    assert alpha.grad is None
    assert all(p.grad is None for p in E.parameters())
    assert all(torch.equal(value, before[key]) for key, value in E.state_dict().items())


def test_running_statistics_stand_still_in_eval():
    torch.manual_seed(0)
    E = expectation("nvil")
    E.eval()
    E(cost, LOGITS.clone().requires_grad_()).backward()
    assert not E.surrogate.mean.any()
    E.train()
    E(cost, LOGITS.clone().requires_grad_()).backward()
    assert E.surrogate.mean.any()


def test_learn_gives_phi_what_a_call_does():
    _, _, phi = run()
    torch.manual_seed(0)
    E = expectation("relax")
    torch.manual_seed(3)
    weight, alpha = DECODER.clone().requires_grad_(), LOGITS.expand(5, 3).clone().requires_grad_()
    E.learn(decoded(weight), alpha)
    assert weight.grad is None
    assert alpha.grad is None
    assert all(torch.equal(g, phi[key]) for key, g in gradients(E).items())


def steps(E, count, seed=5):
    """Adam on φ and logits together."""
    torch.manual_seed(seed)
    logits = LOGITS.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits, *E.parameters()], 0.05)
    for _ in range(count):
        optimizer.zero_grad()
        E(cost, logits.expand(4, 3)).mean().backward()
        optimizer.step()
    return logits.detach()
