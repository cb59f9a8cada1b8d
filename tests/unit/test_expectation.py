"""`relax.Expectation` in a plain PyTorch loop: which gradient goes where, and how often."""

import copy
import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import distributions, nn
from unit.plain import LOGITS, cost, expectation

import relax
from relax.frontdoor.noise import draw_noise, new_seed

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


def test_the_seed_reproduces_a_run_and_a_generator_is_its_own():
    torch.manual_seed(0)
    first = steps(expectation("relax"), 5)
    torch.manual_seed(0)
    assert torch.equal(steps(expectation("relax"), 5), first)
    torch.manual_seed(1)  # other φ at the start
    assert not torch.equal(steps(expectation("relax"), 5), first)
    own = [torch.Generator().manual_seed(8) for _ in range(2)]
    runs = [steps(expectation("relax", generator=g), 5, seed) for seed, g in enumerate(own)]
    assert torch.equal(*runs)
    state = torch.get_rng_state()
    expectation("relax", generator=own[0])(cost, LOGITS)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda E: pickle.loads(pickle.dumps(E))])
def test_a_copy_goes_on_as_the_original(copied):
    torch.manual_seed(0)
    E = expectation("relax")
    steps(E, 3)
    twin = copied(E)
    assert torch.equal(steps(twin, 4), steps(E, 4))
    for a, b in zip(twin.parameters(), E.parameters(), strict=True):
        assert a is not b
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["relax", "rebar", "nvil", "muprop"])
@pytest.mark.parametrize("assign", [False, True])
def test_a_loaded_state_goes_on_learning(name, assign):
    torch.manual_seed(0)
    E = expectation(name)
    steps(E, 3)  # whatever is kept for speed is kept by now
    torch.manual_seed(0)
    other = expectation(name)
    steps(other, 2)
    other.load_state_dict(copy.deepcopy(E.state_dict()), assign=assign)
    before = copy.deepcopy(other.state_dict())
    assert torch.equal(steps(other, 4), steps(E, 4))
    for key, p in other.named_parameters():
        assert not torch.equal(p, before[key]), f"{key} did not learn"


def test_phi_takes_on_the_dtype_and_device_of_the_logits():
    torch.manual_seed(0)
    E = relax.Expectation("relax", latents=3)
    optimizer = torch.optim.Adam(E.parameters(), 0.1)
    assert {p.dtype for p in E.parameters()} == {torch.float32}
    kept = list(E.parameters())
    logits = LOGITS.clone().requires_grad_()
    value = E(cost, logits)
    value.backward()
    assert value.dtype == logits.grad.dtype == torch.float64
    assert {p.dtype for p in E.parameters()} == {torch.float64}
    assert all(a is b for a, b in zip(kept, E.parameters(), strict=True))
    optimizer.step()  # the very parameters that the optimiser has
    E.to(torch.float32)
    assert E(cost, logits.detach().float().requires_grad_()).dtype == torch.float32
    moved = copy.deepcopy(E).to("meta")
    assert {p.device.type for p in moved.parameters()} == {"meta"}


def test_functional_call_gives_the_gradient_to_the_parameters_handed_in():
    _, _, phi = run()
    torch.manual_seed(0)
    E = expectation("relax")
    handed = {key: p.detach().clone().requires_grad_() for key, p in E.named_parameters()}
    torch.manual_seed(3)
    value = torch.func.functional_call(E, handed, (decoded(DECODER), LOGITS.expand(5, 3)))
    value.sum().backward()
    assert all(p.grad is None for p in E.parameters())
    for key, p in handed.items():
        assert torch.equal(p.grad, phi[key]), key


def test_half_precision_under_autocast():
    """bfloat16 logits: the estimate is made in float32, f has autocast back, and is right."""
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(2, 3), nn.Linear(3, 2)
    E = relax.Expectation("rebar", latents=3)
    x = torch.ones(4000, 2)
    seen = set()

    def f(b):
        out = decoder(b)
        seen.add(out.dtype)
        return torch.tanh(out).sum(-1)

    with torch.autocast("cpu", torch.bfloat16):
        logits = encoder(x)
        value = E(f, logits)
    assert logits.dtype == torch.bfloat16
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in E.parameters()} == {torch.float32}
    value.float().mean().backward()
    truth = nn.Linear(2, 3)
    truth.load_state_dict({k: v.clone() for k, v in encoder.state_dict().items()})
    p = torch.sigmoid(truth(x[:1]))
    states = every_state().float()
    chance = torch.where(states > 0.5, p, 1 - p).prod(-1)
    (chance * torch.tanh(decoder(states)).sum(-1)).sum().backward()
    torch.testing.assert_close(encoder.bias.grad, truth.bias.grad, rtol=0.15, atol=0.01)
    half = E(lambda b: b.sum(-1), logits.detach().requires_grad_())  # and outside of it
    half.sum().backward()


@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (2, 1, 2)])
def test_any_leading_axes(batch):
    torch.manual_seed(0)
    E = expectation("relax")
    rows = torch.Size(batch).numel()
    torch.manual_seed(3)
    flat = LOGITS.expand(rows, 3).clone().requires_grad_()
    E(cost, flat).sum().backward()
    torch.manual_seed(3)
    shaped = LOGITS.expand(*batch, 3).clone().requires_grad_()
    value = E(cost, shaped)
    value.sum().backward()
    assert value.shape == batch
    torch.testing.assert_close(shaped.grad.reshape(rows, 3), flat.grad)
    assert E.estimate(cost, shaped).gradient.shape == shaped.shape


def test_noise_and_seed_come_from_one_generator():
    generator = torch.Generator().manual_seed(3)
    assert new_seed(generator) != new_seed(generator)
    noise = draw_noise((1, 200_000, 1), torch.float32, "cpu", "independent", generator)
    for part in noise:
        assert ((part > 0) & (part < 1)).all()
        assert abs(part.mean() - 0.5) < 0.003
    assert not torch.equal(*noise)


WORKERS = Path(__file__).parent / "distributed_worker.py"
PATIENCE = 500  # seconds: on a busy machine, loading torch twice alone may take minutes


def wait_for(workers):
    """Wait until all have ended; one that fails ends the other's waiting."""
    deadline = time.monotonic() + PATIENCE
    try:
        while any(worker.poll() is None for worker in workers):
            failed = any(worker.poll() for worker in workers)
            if failed or time.monotonic() > deadline:
                break
            time.sleep(0.1)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()


def test_distributed_data_parallel_averages_over_processes(tmp_path):
    """Two local processes, each with half of the batch: the gradients are those of the whole."""
    # By the loopback device, whatever the machine is called.
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    command = [sys.executable, str(WORKERS), str(tmp_path)]
    workers = []
    for rank in range(2):
        # A file and not a pipe: a worker that writes much must not wait for its reader.
        with open(tmp_path / f"stderr{rank}", "w", encoding="utf-8") as errors:
            workers.append(subprocess.Popen([*command, str(rank)], env=environment, stderr=errors))
    wait_for(workers)
    errors = [(tmp_path / f"stderr{rank}").read_text(encoding="utf-8") for rank in range(2)]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    alone, first, second = (
        torch.load(tmp_path / f"{name}.pt") for name in ("alone", "rank0", "rank1")
    )
    assert alone.keys() == first.keys()
    assert any(key.startswith("E.") for key in alone)
    for key, gradient in alone.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], gradient, msg=key)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_around_it(backend):
    """The encoder and decoder are compiled, the estimate runs as it is; gradients are the same."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(2, 3).double()
            self.E = expectation("relax")

        def forward(self, x):
            return self.E(lambda b: torch.tanh(b @ DECODER).sum(-1), self.encoder(x))

    torch.manual_seed(0)
    plain = Model()
    compiled = copy.deepcopy(plain)
    x = torch.ones(5, 2, dtype=torch.float64)
    for model, call in ((plain, plain), (compiled, torch.compile(compiled, backend=backend))):
        for _ in range(2):
            torch.manual_seed(4)
            model.zero_grad()
            call(x).sum().backward()
    ours, theirs = gradients(plain), gradients(compiled)
    assert ours.keys() == theirs.keys()
    for key, gradient in ours.items():
        torch.testing.assert_close(theirs[key], gradient, msg=key)
