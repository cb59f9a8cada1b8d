"""The JAX peer, and the benchmarks of the GPU, of compiling and of seeds side by side: they run,
and their pages say it all."""

import importlib
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from relax.numerics import compiled

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmark_module(monkeypatch):
    """Imports a module of `benchmarks`, which are scripts and no package; nothing is compiled."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(compiled, "program", lambda operations, tensors: operations)
    monkeypatch.delenv("JAX_PYTHON", raising=False)
    threads = torch.get_num_threads()
    yield importlib.import_module
    torch.set_num_threads(threads)


def interpreter(path, text):
    """An executable that stands for a Python with JAX: it takes a number of steps at a time."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


STAND_IN = """
import sys
if sys.argv[1] != "-c":
    print("ready 1.2.3 a made-up device", flush=True)
    for line in sys.stdin:
        print(0.5 * int(line), flush=True)
"""


def test_the_peer_takes_its_turns(benchmark_module, tmp_path, monkeypatch, capfd):
    module = benchmark_module("jax_contestant")
    assert module.python() is None
    assert capfd.readouterr().out == module.LEFT_OUT + "\n"
    monkeypatch.setenv("JAX_PYTHON", str(tmp_path / "missing"))
    assert module.python() is None
    monkeypatch.setenv("JAX_PYTHON", str(interpreter(tmp_path / "python", STAND_IN)))
    peer = module.JaxPeer(module.python(), "relax")
    assert (peer.version, peer.device) == ("1.2.3", "a made-up device")
    peer(4)
    assert peer.seconds == 2.0
    peer.close()
    assert peer.process.returncode == 0


def test_a_peer_that_fails_is_no_fast_one(benchmark_module, tmp_path):
    module = benchmark_module("jax_contestant")
    silent = interpreter(tmp_path / "silent", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="the JAX peer failed"):
        module.JaxPeer(silent, "relax")
    late = interpreter(tmp_path / "late", STAND_IN + "    sys.exit(1)")
    with pytest.raises(RuntimeError, match="the JAX peer failed"):
        module.JaxPeer(late, "relax").close()


def test_a_rehearsal_without_a_card(benchmark_module, tmp_path, monkeypatch, capsys):
    """Every part is measured, a cut run goes on where it stood, the page has all that was asked."""
    gpu = benchmark_module("gpu")
    monkeypatch.setitem(gpu.MEASURES, "tests", lambda *given: {"note": "3 passed"})
    command = ["--device", "cpu", "--quick", "--folder", str(tmp_path)]
    gpu.main([*command, "--minutes", "0"])
    assert "Not measured yet: 4 parts; the same command goes on." in capsys.readouterr().out
    gpu.main(command)
    table = pd.read_csv(tmp_path / "gpu.csv")
    assert table.part.tolist() == ["tests", "steps", "training", "steps", "steps"]
    assert set(table.step.dropna()) == {"eager", "compiled"}
    assert (table.per_second[1:] > 0).all()
    shown = (tmp_path / "gpu.md").read_text()
    for said in ("A rehearsal", "3 passed", "A whole training", "not measured", "compiled"):
        assert said in shown
    assert "failed" not in shown
    before = (tmp_path / "gpu.jsonl").read_text()
    gpu.main(command)
    assert (tmp_path / "gpu.jsonl").read_text() == before


def test_the_gpus_parts_are_what_was_asked(benchmark_module):
    """Three estimators, three models, four numbers of replicas, three ways; and the paper's six."""
    gpu = benchmark_module("gpu")
    every = gpu.parts(quick=False, cuda=True)
    assert len(set(every)) == len(every)
    steps = {part[1:] for part in every if part.part == "steps"}
    asked = {
        (model, name, replicas, step)
        for model in ("linear1", "linear2", "nonlinear")
        for name in ("reinforce", "rebar", "relax")
        for replicas in (1, 5, 25, 100)
        for step in ("eager", "captured", "compiled")
    }
    assert asked <= steps
    assert {(m, e) for m, e, n, s in steps - asked} == {
        (m, e) for m in gpu.MODELS for e in gpu.OTHERS
    }
    for part in every:
        if part.part == "steps":
            run = gpu.run_of(part, quick=False)
            assert len(run["seeds"]) * len(run["learning_rate"]) == part.replicas


def test_a_part_that_fails_says_so_and_the_goal_is_judged(benchmark_module):
    gpu, report = benchmark_module("gpu"), benchmark_module("gpu_report")

    def broken(part, chosen, images):
        raise MemoryError("no room\nat all")

    gpu.MEASURES["broken"] = broken
    row = gpu.measured(gpu.Part("broken"), None, None)
    del gpu.MEASURES["broken"]
    assert row["note"] == "failed: MemoryError: no room"
    machine = {"device": "a card", "torch": "2", "memory_mib": 100.0, "note": "", "seconds": 1.0}
    rows = [
        {**gpu.Part("steps", "linear1", "relax", 25, step)._asdict(), "per_second": rate, **machine}
        for step, rate in (("eager", 400.0), ("captured", 1600.0))
    ]
    text = report.page(pd.DataFrame(rows), quick=False)
    assert "1,600, met" in text
    # 2 data sets x 2,000,000 steps / 1600 a second, in hours
    assert report.hours(pd.DataFrame(rows)).hours.item() == pytest.approx(4e6 / 1600 / 3600)


@pytest.mark.skipif(compiled.missing() is not None, reason="there is no C++ compiler")
def test_what_compiling_costs_is_a_table(benchmark_module, tmp_path, monkeypatch):
    module = benchmark_module("compiling")
    seconds = iter([20.0, 5.0, 1.0])
    monkeypatch.setattr(module, "start_elsewhere", lambda *given: next(seconds))
    case = f"linear1/rebar/{module.DEFAULT['seeds_per_job']}"
    assert case in module.JOBS
    module.main(["--quick", "--cases", case, "--folder", str(tmp_path)])
    (row,) = pd.read_csv(tmp_path / "compiled.csv").to_dict("records")
    saved = 1e-6 * (row["plain_us"] - row["compiled_us"])
    expected = 19 / saved if saved > 0 else np.inf
    assert row["even_first"] == pytest.approx(expected)
    hours = (20 + 1e-6 * row["compiled_us"] * 100_000) / 3600
    assert row["hours_first_100000"] == pytest.approx(hours)
    again = 5 + 1e-6 * row["compiled_us"] * module.DEFAULT["steps"]
    assert row["job_again"] == pytest.approx(again)


def test_seeds_side_by_side_are_measured_and_judged(benchmark_module):
    """Both kinds of latents have a row; whoever takes longer than the goal is named."""
    seeds = benchmark_module("structure_seeds")
    table = seeds.measure(("rloo",), 1, 0.001)
    assert list(table.latents) == ["edges", "ordering"]
    assert (table[["one", "all", "ratio"]] > 0).all(axis=None)
    said = seeds.markdown(table.assign(ratio=[4.9, 5.1]))
    assert said.endswith("not met by RLOO (ordering)")
    assert seeds.markdown(table.assign(ratio=1)).endswith(": met")
