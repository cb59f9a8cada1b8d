"""What it costs to be able to go on: saving a state, at the scale and interval of paper.yaml."""

import statistics
import time
from dataclasses import fields

import pytest
import torch
import yaml
from workflow.project import ROOT
from workflow.test_bad_config import DEFAULT

from relax.data.images import Images
from relax.experiments.vae.trainer import VAESettings
from relax.experiments.vae.training import train
from relax.runs.environments import filled
from relax.runs.resume import Unfinished, identity
from relax.runs.settings import collect

IMAGES = 50_000  # in MNIST's training set: how many epochs a run has, and rows its history
SAVES = 7


class Timed(Unfinished):
    """Saves after every step, with the history of a whole run, and measures how long that takes."""

    def __init__(self, folder, epochs):
        super().__init__(folder, identity("cost"), seconds=0)
        self.epochs, self.times, self.size = epochs, [], 0

    def save(self, step, state):
        row = {"step": step, "epoch": 1.0, "train_elbo": torch.rand(5), "valid_elbo": torch.rand(5)}
        state["history"]["rows"] = [
            {k: v.clone() if k.endswith("elbo") else v for k, v in row.items()}
            for _ in range(self.epochs)
        ]
        start = time.perf_counter()
        super().save(step, state)
        self.times.append(time.perf_counter() - start)
        self.size = max(path.stat().st_size for path in self.folder.glob("state_*"))


@pytest.mark.parametrize("model", ["linear1", "linear2"])
def test_saving_takes_little_of_a_run(tmp_path, record_property, model):
    """Under 2% of the time: RELAX, which has most to save, images of 28x28, five seeds in a job."""
    paper = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    vae = filled(DEFAULT, paper)["vae"]
    run = {"dataset": "mnist", "model": model, "estimator": "relax", "learning_rate": "0.001"}
    run |= {"first": "0", "last": str(vae["seeds_per_job"] - 1)}
    short = {"steps": SAVES, "pretraining_steps": 0, "bound_samples": 1}
    known = {field.name for field in fields(VAESettings)} - {"outcomes"} | {"surrogate"}
    params = {name: value for name, value in (vae | short).items() if name in known}
    settings = collect(VAESettings, run, params, dtype=torch.float32)
    assert len(settings.seeds) == 5
    assert settings.spec.hidden == (200,) * 4
    pixels = [(torch.rand(n, 28 * 28) < 0.5).float() for n in (settings.batch, 5, 5)]
    unfinished = Timed(tmp_path / "unfinished", vae["steps"] // (IMAGES // settings.batch))
    with unfinished:
        train(settings, Images(*pixels, (28, 28)), {}, unfinished=unfinished)
    assert len(unfinished.times) == SAVES
    seconds = statistics.median(unfinished.times)
    share = seconds / (vae["save_every"] + seconds)
    record_property(
        "measured",
        f"{model}: saving {unfinished.size / 2**20:.1f} MB: median {seconds:.2f} s "
        f"(from {min(unfinished.times):.2f} to {max(unfinished.times):.2f}), every "
        f"{vae['save_every']} s: {share:.2%} of the run's time",
    )
    assert share < 0.02
