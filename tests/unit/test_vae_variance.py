"""The variance of the encoder's gradient at frozen models: measured, and optimised halfway."""

import numpy as np
import pytest
import torch
from unit.test_vae import BATCH, ESTIMATORS, LATENTS, images, settings  # noqa: F401

from relax.experiments.vae import training as vae_training
from relax.experiments.vae import variance as vae_variance
from relax.experiments.vae.midtraining import (
    CONTESTANTS,
    MidtrainingSettings,
    optimise_variance,
    take_relaxations,
)
from relax.experiments.vae.model import MODELS
from relax.experiments.vae.pictures import pictures
from relax.numerics.streams import generator
from relax.runs.checkpoints import load_checkpoint


@pytest.mark.parametrize("model", MODELS)
def test_variance_is_measured_at_every_checkpoint_for_every_estimator(images, tmp_path, model):  # noqa: F811
    run = settings("rebar", model)
    paths = {step: tmp_path / f"{step}.pt" for step in (0, 12)}
    vae_training.train(run, images, paths)
    measure = vae_variance.MeasureSettings(ESTIMATORS, tuning_steps=3, minibatches=2, draws=20)
    table = vae_variance.measure_variance(run, measure, images, paths.values())
    assert len(table) == len(ESTIMATORS) * 2 * 2
    assert set(table.step) == {0, 12}
    assert (table.encoder_variance > 0).all()
    means = table.groupby("estimator").encoder_variance.mean()
    assert means["rebar"] < means["reinforce"]


def test_running_moments_are_the_librarys():
    values = torch.from_numpy(generator(0, "noise").normal(1e3, 1.0, (500, 7)))
    moments = vae_variance.RunningMoments()
    for value in values:
        moments.add(value)
    torch.testing.assert_close(moments.mean, values.mean(0))
    torch.testing.assert_close(moments.variance, values.var(0))


def test_linear_encoders_variance_follows_from_the_logits(images):  # noqa: F811
    """For one linear layer Var[W's gradient] = Σ_i x_i² Var[logit gradient]_i / B², exactly."""
    run = settings("reinforce", seeds=range(1), batch=1)
    frozen = vae_variance.FrozenRun(run, images, "reinforce")
    variances = frozen.variance(minibatches=1, draws=50)
    square = (frozen.fixed_batches(0) - images.mean).square().sum()
    expected = variances["logit_variance"] * (square + 1) / (12 + 1)  # 12 pixels, and the bias
    torch.testing.assert_close(variances["encoder_variance"], expected)


def test_tuning_in_parts_is_tuning_at_once(images):  # noqa: F811
    """Measuring on the way changes nothing of what is learned."""
    runs = [vae_variance.FrozenRun(settings(), images, "relax") for _ in range(2)]
    runs[0].tune(7)
    for steps in (3, 4):
        runs[1].tune(steps)
        runs[1].variance(minibatches=1, draws=2)
    states = [run.surrogates.state_dict() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):  # noqa: F811
    """A run of REBAR on linear2, its last checkpoint and its kept model."""
    folder = tmp_path_factory.mktemp("trained")
    run = settings("rebar", "linear2", steps=40)
    vae_training.train(run, images, {40: folder / "40.pt"}, folder / "best.pt")
    return run, folder


def test_contestants_take_relaxations(images, trained):  # noqa: F811
    """RELAX with REBAR's part gives REBAR's estimate at the start, alone that of REINFORCE."""
    run, folder = trained
    tensors = load_checkpoint(folder / "40.pt")
    assert (tensors["surrogates.1.scale"] != 1).all()
    gradients = {}
    for name, made_of, changed in (*CONTESTANTS, ("reinforce", "nothing", {})):
        frozen = vae_variance.FrozenRun(run, images, name, **changed)
        vae_variance.load_model(frozen.model, folder / "40.pt")
        take_relaxations(frozen.surrogates, tensors)
        estimate = frozen.estimate(frozen.batches(0), frozen.noise(0))
        gradients[made_of] = torch.cat([layer.gradient for layer in estimate.layers], -1).detach()
    torch.testing.assert_close(gradients["relaxed cost + network"], gradients["relaxed cost"])
    for same in ("network", "baseline"):
        torch.testing.assert_close(gradients[same], gradients["nothing"])
    assert not torch.allclose(gradients["relaxed cost"], gradients["nothing"])


def test_variance_falls_while_it_is_optimised(images, trained):  # noqa: F811
    """One row a contestant, seed and measurement; the two that start far off come down."""
    run, folder = trained
    plan = MidtrainingSettings(tuning_steps=200, measurements=4, minibatches=2, draws=40)
    table = optimise_variance(run, plan, images, folder / "40.pt")
    assert len(table) == len(CONTESTANTS) * 2 * 5
    assert list(table.step.unique()) == [0, 50, 100, 150, 200]
    assert (table.checkpoint == 40).all()
    assert (table.trajectory == "rebar").all()
    level = np.log(table.set_index(["surrogate", "seed", "step"]).encoder_variance)
    for surrogate in ("network", "baseline"):
        for seed in run.seeds:
            assert level[surrogate, seed, 200] < level[surrogate, seed, 0] - 0.1
    start = level.xs(0, level="step")
    np.testing.assert_allclose(start["relaxed cost + network"], start["relaxed cost"], rtol=1e-4)


def test_pictures_are_images_probabilities_and_different_samples(images, trained):  # noqa: F811
    run, folder = trained
    table = pictures(run, images, folder / "best.pt", count=4)
    assert set(table.kind) == {"data", "reconstruction", "sample"}
    assert len(table) == 3 * 4 * 12
    data = table[table.kind == "data"].value.to_numpy().reshape(4, 12)
    np.testing.assert_array_equal(data, images.test[:4].numpy())
    other = table[table.kind != "data"].value
    assert other.between(0, 1, inclusive="neither").all()
    # Reconstructions are of their images: nearer to them than to one another's, on average.
    made = table[table.kind == "reconstruction"].value.to_numpy().reshape(4, 12)
    own = np.abs(made - data).mean()
    others = np.mean([np.abs(np.roll(made, shift, axis=0) - data).mean() for shift in (1, 2, 3)])
    assert own < others
    samples = table[table.kind == "sample"].value.to_numpy().reshape(4, 12)
    assert len(np.unique(samples, axis=0)) > 1
