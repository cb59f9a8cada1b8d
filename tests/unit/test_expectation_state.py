"""What an Expectation carries from call to call: randomness, copies, states, types, processes."""

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
from torch import nn
from unit.plain import LOGITS, cost, expectation
from unit.test_expectation import DECODER, decoded, every_state, gradients, run, steps

import relax
from relax.frontdoor.noise import draw_noise, new_seed


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
