"""Devices and captured steps. What needs a GPU is skipped where there is none; the rest is not."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from relax.data.images import Images
from relax.errors import ConfigError
from relax.estimators.registry import REGISTRY, estimator_names
from relax.experiments.vae.trainer import Minibatches, Trainer, VAESettings
from relax.experiments.vae.training import label_blocks, train
from relax.numerics.devices import WARM_UP, Captured, choose
from relax.numerics.finite import NEVER
from relax.numerics.optimizers import adam
from relax.numerics.streams import Noise, generator
from relax.surrogates.base import SurrogateSpec

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device on this machine"
)
SPEC = SurrogateSpec(
    hidden=(6, 6), activation="relu", squash=False, add_relaxed_cost=True, dtype=torch.float32
)
ESTIMATORS = [name for name in estimator_names() if name != "exact"]
RUNS = [*itertools.product(["linear2"], ESTIMATORS), ("linear1", "relax"), ("nonlinear", "relax")]
KINDS = [  # of noise; those that the formula is not for never look at v
    (model, name, kind)
    for model, name in RUNS
    for kind in ("coupled", "independent")
    if kind == "coupled" or REGISTRY[name].formula
]
RATES = (0.003, 0.001)


@pytest.fixture(scope="module")
def images():
    draws = generator(0, "split").random((70, 12)) < np.linspace(0.1, 0.9, 12)
    tensor = torch.from_numpy(draws.astype(np.float32))
    return Images(tensor[:50], tensor[50:60], tensor[60:], (3, 4))


def settings(model="linear2", name="relax", rates=RATES, **changes):
    values = {"batch": 8, "latents": 5, "bound_samples": 2, "evaluation_samples": 1, "spec": SPEC}
    return VAESettings("toy", model, name, rates, range(2), **values | changes)


def run(chosen, images, steps, device="cpu", captured=None):
    """A trainer after these steps, and the last costs."""
    trainer = Trainer(chosen, images, device, captured)
    copies = len(chosen.learning_rates)
    batches = Minibatches(images.to(device).train, chosen.seeds, chosen.batch, copies=copies)
    noise = chosen.noise_stream("noise", device)
    for step in range(steps):
        # Contiguous, as a captured step's arguments are: sums of strided ones round differently.
        drawn = Noise(*(u if u is None else u.contiguous() for u in noise(step)))
        cost = trainer.step(step + 1, batches(step), drawn)
    return trainer, cost


class Rerun:
    """Stands for a CUDA graph where there is none: a replay does the work again."""

    def warm_up(self, function, arguments):
        return function(*arguments)

    def capture(self, function, arguments):
        self.work = lambda: function(*arguments)
        self.result = torch.zeros(())
        return self.result

    def replay(self):
        self.result.set_(self.work())


def test_cpu_and_auto():
    assert choose("cpu").type == "cpu"
    assert choose("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_is_said():
    with pytest.raises(ConfigError, match="device: 'cuda' is asked for, and torch finds no GPU"):
        choose("cuda")


@pytest.mark.parametrize(("model", "name", "kind"), KINDS)
def test_a_captured_step_is_the_step(images, model, name, kind):
    """Static copies of the arguments, the first steps outside: the same bits after 12 steps."""
    chosen = settings(model, name, noise=kind)
    plain, cost = run(chosen, images, 12)
    captured, same = run(chosen, images, 12, captured=lambda f: Captured(f, Rerun()))
    assert captured.captured.calls == 12 > WARM_UP
    assert torch.equal(cost, same)
    state = captured.learned.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in plain.learned.state_dict().items())


def on_meta(chosen, images, step=None):
    """Do a step on torch's meta device, which holds no numbers and lets none be asked for."""
    trainer = Trainer(chosen, images, "meta", captured=lambda function: function)
    trainer.optimizer.step = lambda: None  # torch's fused Adam does not know the meta device
    batches = Minibatches(images.to("meta").train, chosen.seeds, chosen.batch, copies=2)
    noise = chosen.noise_stream("noise", "meta")(0)
    return (step or trainer.step)(1, batches(0), noise)


@pytest.mark.parametrize(("model", "name", "kind"), KINDS)
def test_a_step_waits_for_nothing_and_mixes_no_devices(images, model, name, kind):
    """What a graph cannot hold is an error here: a number read back, or a tensor elsewhere."""
    cost = on_meta(settings(model, name, noise=kind), images)
    assert cost.device.type == "meta"
    rows = 8 * (2 if REGISTRY[name].samples[1] else 1)
    assert cost.shape == (4, rows)


def test_the_meta_device_would_show_it(images):
    """The control: a number asked for, and a tensor left on the processor."""
    with pytest.raises(RuntimeError, match="meta tensors"):
        on_meta(settings(), images, lambda step, x, noise: x.sum().item())
    with pytest.raises(RuntimeError, match="device"):
        on_meta(settings(), images, lambda step, x, noise: x + torch.zeros(4, 8, 12))


def test_a_captured_run_notes_when_numbers_stop_being_finite(images):
    """The replica and the step, in the graph; the others stay finite."""
    trainer = Trainer(settings(name="rebar"), images, captured=lambda f: Captured(f, Rerun()))
    x = images.train[:8].expand(4, -1, -1).clone()
    u = torch.full((4, 8, 10), 0.5)
    for step in range(1, 15):
        trainer.step(step, x, Noise(u))
    u[3] = torch.nan
    for step in range(15, 20):
        trainer.step(step, x, Noise(u))
    assert trainer.divergence.step.tolist() == [NEVER, NEVER, NEVER, 15]
    assert all(p[:3].isfinite().all() for p in trainer.learned.parameters())


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_learning_rates_side_by_side(images, name, tmp_path):
    """Tables and checkpoints of two rates in one run are those of two runs, to rounding."""
    steps = 20
    together = [[tmp_path / f"{step}-{rate}.pt" for rate in RATES] for step in (0, steps)]
    both = train(
        settings(name=name, steps=steps),
        images,
        dict(zip((0, steps), together, strict=True)),
        [tmp_path / f"best-{rate}.pt" for rate in RATES],
    )
    for block, rate in enumerate(RATES):
        paths = {step: tmp_path / f"alone-{step}.pt" for step in (0, steps)}
        chosen = settings(name=name, rates=rate, steps=steps)
        alone = train(chosen, images, paths, tmp_path / "alone-best.pt")
        for table, own in zip(both, alone, strict=True):
            part = table[table.learning_rate == rate].reset_index(drop=True)
            assert list(part.columns) == list(own.columns)
            numbers = part.select_dtypes("number").columns
            np.testing.assert_allclose(part[numbers], own[numbers], rtol=1e-4)
        pairs = [(together[i][block], paths[step]) for i, step in enumerate((0, steps))]
        for mine, theirs in (*pairs, (tmp_path / f"best-{rate}.pt", tmp_path / "alone-best.pt")):
            mine, theirs = (torch.load(path, weights_only=True) for path in (mine, theirs))
            assert mine.keys() == theirs.keys()
            for key, value in theirs.items():
                torch.testing.assert_close(mine[key], value, rtol=1e-3, atol=1e-5, msg=key)
    first, second = (both[0][both[0].learning_rate == rate].valid_elbo for rate in RATES)
    assert (first.to_numpy()[2:] != second.to_numpy()[2:]).all()  # the rates make a difference


def test_each_block_of_replicas_has_its_learning_rate():
    """The same gradients to one optimiser with two rates and to two optimisers: same bits."""
    start = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    both = torch.nn.Parameter(start.clone())
    apart = [torch.nn.Parameter(part.clone()) for part in start.chunk(2)]
    optimizer = adam([([both], RATES, 0.1)])
    others = [adam([([p], rate, 0.1)]) for p, rate in zip(apart, RATES, strict=True)]
    for step in range(5):
        gradient = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(step))
        both.grad = gradient
        for p, part in zip(apart, gradient.chunk(2), strict=True):
            p.grad = part.clone()
        for one in (optimizer, *others):
            one.step()
    assert torch.equal(both.detach(), torch.cat([p.detach() for p in apart]))


def test_tables_are_labelled_by_block(images):
    table, _ = train(settings(steps=3), images, {})
    assert table.groupby("learning_rate", sort=False).seed.unique().map(list).to_dict() == {
        rate: [0, 1] for rate in RATES
    }
    plain = pd.DataFrame({"block": [0, 0, 1, 1], "seed": [0, 1, 0, 1]})
    labelled = label_blocks(plain, settings())
    assert labelled.learning_rate.tolist() == [RATES[0], RATES[0], RATES[1], RATES[1]]
    assert label_blocks(plain.iloc[:2], settings(rates=0.1)).learning_rate.eq(0.1).all()


@needs_gpu
@pytest.mark.parametrize(("model", "name"), RUNS)
def test_a_gpu_trains_as_the_processor_does(images, model, name):
    """Captured and replayed, same noise and data: same costs and parameters, to rounding."""
    chosen = settings(model, name)
    here, cost = run(chosen, images, 20)
    there, other = run(chosen, images, 20, "cuda")
    torch.testing.assert_close(other.cpu(), cost, rtol=1e-3, atol=1e-3)
    state = there.learned.state_dict()
    for key, value in here.learned.state_dict().items():
        torch.testing.assert_close(state[key].cpu(), value, rtol=1e-2, atol=1e-3, msg=key)


@needs_gpu
def test_a_captured_step_is_the_step_on_a_gpu(images):
    plain, cost = run(settings(), images, 12, "cuda", captured=lambda f: f)
    captured, same = run(settings(), images, 12, "cuda")
    torch.testing.assert_close(cost, same)
    state = captured.learned.state_dict()
    for key, value in plain.learned.state_dict().items():
        torch.testing.assert_close(state[key], value, msg=key)


@needs_gpu
def test_a_whole_run_on_a_gpu(images, tmp_path):
    tables = train(settings(steps=30, rates=0.003), images, {30: tmp_path / "30.pt"}, device="cuda")
    assert all(np.isfinite(t.select_dtypes("number").valid_elbo).all() for t in tables)
    tensors = torch.load(tmp_path / "30.pt", weights_only=True)
    assert all(tensor.device.type == "cpu" for tensor in tensors.values())
