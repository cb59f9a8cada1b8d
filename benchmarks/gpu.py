"""Everything that is to be known of a GPU, in one command of at most 8 minutes on a bare machine.

    python benchmarks/gpu.py                          # a CUDA build of torch, and a card
    JAX_PYTHON=.../bin/python benchmarks/gpu.py       # the JAX peer as well
    python benchmarks/gpu.py --device cpu --quick     # a rehearsal without a card

Part by part, what matters most first: the tests that need a GPU; updates a second of the VAEs, at
1, 5, 25 and 100 replicas, by the step as it is (eager), as a CUDA graph (captured), and as a
compiled program in such a graph (compiled); the same of the peer in JAX; and one whole short
training. Each part is noted in `gpu.jsonl` when it is done, so that a run that was cut, or whose
minutes were over, goes on where it stood when the command is given again. At the end of each run
stand `gpu.csv`, a row a part, and `gpu.md`.

Columns of `gpu.csv`: part (tests, steps, jax, training), model, estimator, replicas, step (eager,
captured, compiled), per_second (updates, of all replicas together at once), memory_mib (the most
that the card held for it), seconds (of the whole part, set-up included), note (what else there is
to say: the tests' last line, an error), device, torch.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from cases import package_training, settings, synthetic_images, use_one_thread
from gpu_report import page
from jax_contestant import JaxPeer, python

from relax.experiments.vae.training import train
from relax.files import placed_whole
from relax.runs.tables import write_table

TESTS = Path(__file__).resolve().parents[1] / "tests/unit/test_devices.py"
MODELS = ("linear1", "linear2", "nonlinear")
ESTIMATORS = ("relax", "rebar", "reinforce")
OTHERS = ("nvil", "muprop", "concrete")  # of the paper's table, for its GPU-hours
PAPER = 25  # replicas of one of its jobs: 5 learning rates of 5 seeds
WARM_UP, IMAGES = 10, 6000


class Part(NamedTuple):
    """One thing to find out."""

    part: str
    model: str = ""
    estimator: str = ""
    replicas: int = 0
    step: str = ""


def parts(quick, cuda):
    """All of them, what matters most first. A rehearsal has a few of each, and small."""
    if quick:
        steps = [("linear1", "reinforce", 1, step) for step in ("eager", "compiled")]
        steps += [("linear1", "relax", 2, "eager")]
        jax, whole = [("linear1", "reinforce", 1)], ("linear1", "reinforce", 1)
    else:
        others = (1, 5, 100)
        of_paper = [(m, e, PAPER) for m in MODELS for e in (*ESTIMATORS, *OTHERS)]
        rest = [(m, e, n) for m in MODELS for n in others for e in ESTIMATORS]
        how = ("captured", "eager") if cuda else ("eager",)
        steps = [(*case, how[0]) for case in of_paper]
        steps += [("linear1", e, PAPER, "compiled") for e in ESTIMATORS]
        steps += [(*case, step) for case in rest for step in how]
        steps += [(m, e, PAPER, "eager") for m in MODELS for e in ESTIMATORS if cuda]
        steps += [(m, e, PAPER, "compiled") for m in MODELS[1:] for e in ESTIMATORS]
        steps += [(*case, "compiled") for case in rest]
        jax = [("linear1", e, n) for n in (PAPER, *others) for e in ESTIMATORS]
        whole = ("linear1", "relax", PAPER)
    first, later = steps[: len(steps) // 3], steps[len(steps) // 3 :]
    peers = [Part("jax", *case) for case in jax]
    return [
        Part("tests"),
        *(Part("steps", *case) for case in first),
        Part("training", *whole),
        *peers[:3],
        *(Part("steps", *case) for case in later),
        *peers[3:],
    ]


def run_of(part, quick):
    """What changes in `cases.settings` for so many replicas: of each rate, up to five seeds."""
    seeds = min(part.replicas, 5)
    rates = tuple(0.001 / 2**i for i in range(part.replicas // seeds))
    small = {"batch": 4, "latents": 8, "surrogate": {"hidden": (6, 6)}} if quick else {}
    return {"seeds": range(seeds), "learning_rate": rates, **small}


def rate(run, seconds, device):
    """Updates a second of a function of a number of steps: the median of five slices."""
    run(WARM_UP)

    def timed(steps):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run(steps)
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps

    steps = max(3, round(seconds / 5 / timed(WARM_UP)))
    return 1 / float(pd.Series([timed(steps) for _ in range(5)]).median())


def measure_steps(part, chosen, images):
    """The rate and the memory of the package's own step."""
    how = {"captured": False if part.step == "eager" else None}
    training = package_training(
        part.model,
        part.estimator,
        images.to(chosen.device),
        compiled=part.step == "compiled",
        trainer={"device": chosen.device, **how},
        **run_of(part, chosen.quick),
    )
    if chosen.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = {"per_second": rate(training, 0.05 if chosen.quick else 1.0, chosen.device)}
    if chosen.device == "cuda":
        found["memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def measure_training(part, chosen, images):
    """A whole run of `train`, evaluation and the bounds of the best model included."""
    steps = 20 if chosen.quick else 2000
    run = settings(
        part.model,
        part.estimator,
        steps=steps,
        bound_samples=2 if chosen.quick else 100,
        **run_of(part, chosen.quick),
    )
    start = time.perf_counter()
    train(run, images, {}, device=chosen.device)
    return {"per_second": steps / (time.perf_counter() - start), "note": f"{steps} steps"}


def measure_jax(part, chosen, images):
    """The peer's rate."""
    peer = JaxPeer(chosen.jax, part.estimator, part.replicas)
    found = {"per_second": rate(peer, 0.05 if chosen.quick else 1.0, "cpu")}
    peer.close()
    return found | {"note": f"JAX {peer.version} on {peer.device}"}


def measure_tests(part, chosen, images):
    """The last line of pytest's, of the tests that need a GPU: all are skipped without one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "gpu", TESTS]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240)
    lines = (done.stdout.strip() or done.stderr.strip() or "nothing was said").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"note": "; ".join([re.sub(r" in [\d.]+s.*", "", lines[-1]), *failed])}


MEASURES = {
    "tests": measure_tests,
    "steps": measure_steps,
    "training": measure_training,
    "jax": measure_jax,
}


def measured(part, chosen, images):
    """A row of the table; a part that fails says why, and is not tried again."""
    start = time.perf_counter()
    row = {"per_second": None, "memory_mib": None, "note": ""}
    try:
        row |= MEASURES[part.part](part, chosen, images)
    except Exception as error:  # the next part may well do
        row["note"] = f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return part._asdict() | row | {"seconds": time.perf_counter() - start}


def earlier(path, machine):
    """Rows of an earlier run on this machine, by part."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    rows = [row for row in rows if row.items() >= machine.items()]
    return {Part(**{key: row[key] for key in Part._fields}): row for row in rows}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="How fast a GPU trains.")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="a rehearsal: does all of it work?")
    parser.add_argument("--minutes", type=float, default=7.0, help="no part starts after so many")
    parser.add_argument("--folder", default="results/tables", help="where the tables go")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no GPU here; a rehearsal is --device cpu --quick")
    started = time.perf_counter()
    use_one_thread()
    cuda = chosen.device == "cuda"
    card = torch.cuda.get_device_name() if cuda else "no card: a rehearsal on a processor"
    machine = {"device": card, "torch": torch.__version__}
    chosen.jax, images = python(), synthetic_images(120 if chosen.quick else IMAGES)
    folder = Path(chosen.folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gpu.jsonl"
    found = earlier(path, machine)
    wanted = [p for p in parts(chosen.quick, cuda) if p.part != "jax" or chosen.jax]
    new = [part for part in wanted if part not in found]
    for part in new:
        if part != new[0] and time.perf_counter() - started > 60 * chosen.minutes:
            print("the minutes are over: the same command goes on", flush=True)
            break
        found[part] = measured(part, chosen, images) | machine
        with open(path, "a", encoding="utf-8") as rows:
            rows.write(json.dumps(found[part]) + "\n")
        print(*part, found[part]["per_second"], found[part]["note"], flush=True)
    table = pd.DataFrame([found[part] for part in wanted if part in found])
    write_table(table, folder / "gpu.csv")
    text = page(table, chosen.quick, [part for part in wanted if part not in found])
    with placed_whole(folder / "gpu.md") as temporary:
        temporary.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
