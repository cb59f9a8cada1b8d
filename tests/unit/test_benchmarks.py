"""The benchmarks: what they compare the package with computes the same, and they run."""

import importlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from relax.data.images import Images
from relax.experiments.vae import trainer as vae_trainer
from relax.experiments.vae.model import MODELS
from relax.experiments.vae.trainer import Minibatches, Trainer
from relax.numerics.streams import Noise, generator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PIXELS, STEPS, ALONE = 20, 200, "relax, network alone"
# In float64 rounding alone parts the two by 1e-13 at most after 200 steps in which every learned
# parameter moves by 1e-3 or more, most by 0.1. A wrong term shows in the leading digits.
TOLERANCE = 1e-10


@pytest.fixture(scope="module")
def benchmark_module():
    """Imports a module of `benchmarks`, which are scripts and no package."""
    sys.path.append(str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def float64(monkeypatch):
    """The package's VAE in float64."""
    double = replace(vae_trainer.DEFAULT_SPEC, dtype=torch.float64)
    monkeypatch.setattr(vae_trainer, "DTYPE", torch.float64)
    monkeypatch.setattr(vae_trainer, "DEFAULT_SPEC", double)


@pytest.fixture(scope="module")
def images():
    draws = generator(0, "split").random((220, PIXELS)) < np.linspace(0.1, 0.9, PIXELS)
    pixels = torch.from_numpy(draws.astype(np.float64))
    return Images(pixels[:200], pixels[200:210], pixels[210:], (4, 5))


def small_settings(cases, model, estimator, noise="coupled"):
    """A small run in which every setting has its effect, and widths that differ all over."""
    return cases.settings(
        model,
        estimator,
        seeds=range(4, 5),
        batch=8,
        latents=7,
        learning_rate=0.01,
        noise=noise,
        surrogate_learning_rate_scale=2.0,
        surrogate_weight_decay=0.001,
        surrogate={"hidden": (9, 6), "scale": 0.8, "temperature": 0.6, "dtype": torch.float64},
    )


def trained(benchmark_module, run, images, given=None):
    """Parameters before and after training: of the package, and of the reference.

    Args:
        run: settings of the reference, and of the package's initial parameters and data.
        given: settings of the package, where they are to differ.
    """
    plain_state = benchmark_module("matching").plain_state
    given = given or run
    trainer = Trainer(given, images)
    reference = benchmark_module("reference").Reference(run, images, torch.float64)
    benchmark_module("matching").start_alike(reference, trainer)
    before = {name: value.clone() for name, value in plain_state(trainer.learned).items()}
    batches = Minibatches(images.train, run.seeds, run.batch)
    noise, given_noise = run.noise_stream("noise"), given.noise_stream("noise")
    for step in range(STEPS):
        x, (u, v) = batches(step), noise(step)
        ours = trainer.step(step + 1, x, given_noise(step))
        theirs = reference.step(x[0], u[0], None if v is None else v[0])
    assert ours.shape == (1, run.batch)
    assert theirs.shape == (run.batch,)
    return before, plain_state(trainer.learned), reference.learned.state_dict()


def distance(ours, theirs):
    """The greatest difference of two sets of parameters."""
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


COUPLED = [
    (model, estimator, "coupled")
    for model in ("linear1", "linear2", "nonlinear")
    for estimator in ("reinforce", "nvil", "muprop", "concrete", "rebar", "relax", ALONE)
]
# Where v is used at all: with independent noise z~ and z differ in value.
INDEPENDENT = [
    (model, estimator, "independent")
    for model in ("linear1", "linear2", "nonlinear")
    for estimator in ("rebar", "relax", ALONE)
]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("model", "estimator", "noise"), COUPLED + INDEPENDENT)
def test_the_package_computes_what_the_reference_does(
    benchmark_module, images, model, estimator, noise
):
    run = small_settings(benchmark_module("cases"), model, estimator, noise)
    before, ours, theirs = trained(benchmark_module, run, images)
    fixed = {"model.pixel_mean"}
    if estimator == "concrete":
        fixed |= {name for name in ours if name.startswith("surrogates")}
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=TOLERANCE, msg=name)
        assert name in fixed or (value - before[name]).abs().max() > 1e-3, f"{name} did not learn"


def with_and_without_axis(benchmark_module, images, estimator):
    """A `Trainer`, its `Unstacked`, and step -> minibatch and noise for each of the two."""
    run = small_settings(benchmark_module("cases"), "linear1", estimator)
    trainer = Trainer(run, images)
    batches, noise = Minibatches(images.train, run.seeds, run.batch), run.noise_stream("noise")

    def arguments(step):
        x, drawn = batches(step), noise(step)
        return (x, drawn), (x[0], Noise(drawn.u[0]))

    return trainer, benchmark_module("unstacked").Unstacked(trainer), arguments


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("estimator", ["reinforce", "rebar", "relax"])
def test_the_replica_axis_changes_nothing(benchmark_module, images, estimator):
    """The step without the axis, which the package is timed against, computes the same."""
    trainer, unstacked, arguments = with_and_without_axis(benchmark_module, images, estimator)
    for step in range(STEPS):
        stacked, plain = arguments(step)
        trainer.step(step + 1, *stacked)
        unstacked.step(step + 1, *plain)
    ours, theirs = trainer.learned.parameters(), unstacked.learned.parameters()
    for stacked, plain in zip(ours, theirs, strict=True):
        torch.testing.assert_close(stacked[0], plain, rtol=0, atol=TOLERANCE)


VIEWS = ("alias", "detach", "expand", "permute", "select", "slice", "split", "squeeze", "t")
VIEWS += ("transpose", "unsqueeze", "view")
WITHOUT_AXIS = {"bmm": "mm", "baddbmm": "addmm", "baddbmm_": "addmm_"}


class Operations(TorchDispatchMode):
    """Counts torch's operations, without regard to the axis or to what only looks at memory."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if name not in VIEWS:
            self.counts[WITHOUT_AXIS.get(name, name)] += 1
        return operation(*args, **(kwargs or {}))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("estimator", ["reinforce", "rebar", "relax"])
def test_the_replica_axis_is_timed_against_the_same_operations(benchmark_module, images, estimator):
    """Not against a slower path, which would hide what the axis costs."""
    trainer, unstacked, arguments = with_and_without_axis(benchmark_module, images, estimator)
    stacked, plain = arguments(0)
    with Operations() as ours:
        trainer.step(1, *stacked)
    with Operations() as theirs:
        unstacked.step(1, *plain)
    assert ours.counts == theirs.counts
    assert ours.counts["mm"] > 1


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "wrong",
    [
        {"direct_gradient": False},
        {"surrogate_weight_decay": 0.0},
        {"adam_beta2": 0.999},
    ],
    ids=str,
)
def test_a_wrong_term_would_be_seen(benchmark_module, images, wrong):
    """The control: the package, given one other setting, ends elsewhere."""
    run = small_settings(benchmark_module("cases"), "linear1", "relax")
    _, ours, theirs = trained(benchmark_module, run, images, given=replace(run, **wrong))
    assert distance(ours, theirs) > 1e4 * TOLERANCE


@pytest.mark.usefixtures("float64")
def test_other_noise_would_be_seen(benchmark_module, images):
    """The control: the same start and data, and the noise of another seed."""
    cases = benchmark_module("cases")
    run = small_settings(cases, "linear1", "reinforce")

    class OtherNoise(type(run)):
        def noise_stream(self, purpose):
            return replace(run, seeds=range(5, 6)).noise_stream(purpose)

    given = OtherNoise(**vars(run))
    _, ours, theirs = trained(benchmark_module, run, images, given=given)
    assert distance(ours, theirs) > 1e4 * TOLERANCE


def test_every_estimator_and_model_of_the_default_is_measured(benchmark_module):
    """The others have their seconds in the benchmark of estimators (figures 14 and 15)."""
    cases = benchmark_module("cases")
    names = {name for name, _ in cases.ESTIMATORS.values()}
    default = yaml.safe_load((BENCHMARKS.parent / "config.yaml").read_text())["vae"]
    assert names == set(default["estimators"])
    assert {name: MODELS[name][0] for name in default["models"]} == cases.LAYERS
    assert list(cases.MODELS) == default["models"]


@pytest.mark.parametrize("model", ["linear1", "linear2", "nonlinear"])
def test_the_floor_knows_every_matrix(benchmark_module, model):
    """Each weight of the package has its gradient among the products, and in its own shape."""
    cases, floor = benchmark_module("cases"), benchmark_module("floor")
    for estimator in cases.ESTIMATORS:
        run = cases.settings(model, estimator)
        built, _, surrogates = vae_trainer.build(run, cases.synthetic_images(24))
        named = [*built.named_parameters(), *surrogates.named_parameters()]
        shapes = sorted(tuple(w.shape[1:]) for name, w in named if name.endswith("weight"))
        learned = [name for kind, name in floor.products(model, estimator) if kind == "gradient"]
        assert sorted(floor.widths(model)[name] for name in learned) == shapes, estimator


def test_a_quick_run_fills_the_tables(benchmark_module, tmp_path):
    """`make bench`, but short: every row, every number finite and positive, every goal judged."""
    cases, goals = benchmark_module("cases"), benchmark_module("goals")
    command = [sys.executable, BENCHMARKS / "bench.py", "--quick", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "bench.csv")
    toy, door = table[table.model == "toy"], table[table.model == "front door"]
    vae = table[~table.model.isin(["toy", "front door"])]
    expected = [(model, name) for model in cases.MODELS for name in cases.ESTIMATORS]
    assert list(zip(vae.model, vae.estimator)) == expected
    assert len(toy) == 6
    assert list(door.estimator) == ["reinforce", "rebar", "relax"]
    timed = ["per_second", "low", "high"]
    compared = ["to_reinforce", "to_floor", "reference_per_second", "speed_up"]
    # memory takes a process a row, so that a quick run measures it once
    memory = vae[["memory_mib", "peak_memory_mib"]][:1]
    door = door[[*timed, "to_inner"]]
    for numbers in (vae[timed + compared], toy[timed], door, memory):
        assert np.isfinite(numbers).all(axis=None)
        assert (numbers > 0).all(axis=None)
    assert table[["machine", "torch", "threads"]].notna().all(axis=None)
    shown = (tmp_path / "bench.md").read_text()
    assert shown in done.stdout
    assert all(f"- {goal.text} " in shown for goal in goals.GOALS)


def made_up_bench(goals, better):
    """A bench in which every goal is met, or none, by a quarter."""
    rows = sorted({(g.model, g.estimator, g.replicas) for g in goals.GOALS})
    rows += sorted({(model, estimator, 1) for model, estimator, n in rows if n > 1})
    table = pd.DataFrame(rows, columns=["model", "estimator", "replicas"]).assign(per_second=100.0)
    for goal in goals.GOALS:
        value = goal.bound * 1.25 ** (1 if goal.at_least == better else -1)
        alone = goal.column == goals.SINGLE
        row = (table.model == goal.model) & (table.estimator == goal.estimator)
        row &= table.replicas == goal.replicas
        table.loc[row, "per_second" if alone else goal.column] = value * (100 if alone else 1)
    return table


@pytest.mark.parametrize(("better", "word"), [(True, "met"), (False, "not met")])
def test_goals_are_ratios(benchmark_module, better, word):
    """So a machine of half the speed has the same verdicts; a better ratio another one."""
    goals = benchmark_module("goals")
    table = made_up_bench(goals, better)
    lines = goals.judged(table)
    assert len(lines) == len(goals.GOALS) > 8
    assert all(line.endswith(f", {word}") for line in lines)
    assert goals.judged(table.assign(per_second=table.per_second / 2)) == lines


def test_a_goal_that_was_not_measured_says_so(benchmark_module):
    """Neither a missing row nor a missing column is a failure, or a success."""
    goals = benchmark_module("goals")
    table = made_up_bench(goals, True)
    (line, *_) = goals.judged(table.drop(columns=goals.REINFORCE))
    assert line.endswith(": not measured")
    (line, *_) = goals.judged(table[table.model == "toy"])
    assert line.endswith(": not measured")


def test_the_parts_of_a_step_are_all_timed(benchmark_module, monkeypatch, capsys):
    module = benchmark_module("parts")
    monkeypatch.setattr(module, "WARM_UP", 1)
    monkeypatch.setattr(module, "STEPS", 3)
    module.main("nonlinear")
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0].strip() for row in rows][-2:] == ["Adam", "together"]
    assert len(rows) == 7
    assert all(float(cell) > 0 for cell in rows[-1][1:])


@pytest.mark.usefixtures("float64")
def test_floors_of_several_samples_are_counted_right(benchmark_module):
    """No step multiplies less than its floor; REINFORCE's is the same in both files."""
    several, cases = benchmark_module("several"), benchmark_module("cases")
    floor = benchmark_module("floor")
    images = cases.synthetic_images(60, dtype=torch.float64)
    for name, samples in (("reinforce", 1), ("rloo", 3), ("arm", 2), ("double_cv", 2)):
        run = replace(cases.settings("linear1", "reinforce"), estimator=name)
        run = replace(run, spec=replace(run.spec, samples=samples, dtype=torch.float64))
        trainer = Trainer(run, images)
        x = Minibatches(images.train, run.seeds, run.batch)(0)
        with FlopCounterMode(display=False) as counter:
            trainer.step(1, x, run.noise_stream("noise")(0))
        counted = sum(rows * inner * out for rows, inner, out in several.products(name, samples))
        assert 1 <= counter.get_total_flops() / 2 / counted < 1.1
    reinforce = sum(rows * inner * out for rows, inner, out in several.products("reinforce", 1))
    assert reinforce == floor.multiplications("linear1", "reinforce", cases.BATCH)


@pytest.mark.parametrize("estimator", ["reinforce", "rebar", "relax"])
def test_the_front_door_and_the_inner_functions_do_the_same(benchmark_module, estimator):
    """From the same parameters, with the same noise: every gradient of a step is the same."""
    front_door = benchmark_module("front_door")
    x = (torch.rand(front_door.BATCH, front_door.PIXELS) < 0.13).float()
    door, inner = front_door.FrontDoor(estimator, x), front_door.InnerFunctions(estimator, x)
    inner.surrogate.load_state_dict(door.E.surrogate.state_dict())
    inner.model.load_state_dict(door.model.state_dict())
    for run in (door, inner):
        torch.manual_seed(3)
        run(1)
    pairs = [(door.model, inner.model), (door.E.surrogate, inner.surrogate)]
    for ours, theirs in pairs:
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            if one.grad is not None:
                torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-5)
