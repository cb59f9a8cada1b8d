"""The variance of the encoder's gradient at frozen models: measured, and optimised halfway."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from unit.test_vae import BATCH, ESTIMATORS, LATENTS, images, settings  # noqa: F401

from relax.estimators.registry import REGISTRY
from relax.experiments.vae import training as vae_training
from relax.experiments.vae import variance as vae_variance
from relax.experiments.vae.assumptions import between_share, squared_correlation
from relax.experiments.vae.comparison import compare, many_sample_gradient
from relax.experiments.vae.frozen import FLAT, FrozenRun, RunningMoments
from relax.experiments.vae.midtraining import CONTESTANTS, OTHERS, MidtrainingSettings, halfway
from relax.experiments.vae.model import MODELS
from relax.experiments.vae.pictures import pictures
from relax.numerics.streams import generator
from relax.runs.checkpoints import load_checkpoint


@pytest.mark.parametrize("model", MODELS)
def test_variance_is_measured_at_every_checkpoint_for_every_estimator(images, tmp_path, model):  # noqa: F811
    run = settings("rebar", model)
    paths = {step: tmp_path / f"{step}.pt" for step in (0, 12)}
    vae_training.train(run, images, paths)
    measure = vae_variance.MeasureSettings(
        ESTIMATORS, tuning_block=2, tuning_steps=3, minibatches=2, draws=20
    )
    table = vae_variance.measure_variance(run, measure, images, paths.values())
    assert len(table) == len(ESTIMATORS) * 2 * 3
    own, other = table[table.direct_term], table[~table.direct_term]
    assert set(own.step) == {0, 12}
    assert set(other.step) == {12}
    assert (table.encoder_variance > 0).all()
    means = own.groupby("estimator").encoder_variance.mean()
    assert means["rebar"] < means["reinforce"]
    # Nothing to tune is flat at once; the others used up their three updates.
    nothing = ~table.estimator.map(lambda name: REGISTRY[name].learns)
    assert table[nothing].flat.all()
    assert set(table[nothing].updates) == {0}
    assert set(table[~nothing].updates) == {3}


def test_running_moments_are_the_librarys():
    values = torch.from_numpy(generator(0, "noise").normal(1e3, 1.0, (500, 7)))
    moments = RunningMoments()
    for value in values:
        moments.add(value)
    torch.testing.assert_close(moments.mean, values.mean(0))
    torch.testing.assert_close(moments.variance, values.var(0))


def test_linear_encoders_variance_follows_from_the_logits(images):  # noqa: F811
    """For one linear layer Var[W's gradient] = Σ_i x_i² Var[logit gradient]_i / B², exactly."""
    run = settings("reinforce", seeds=range(1), batch=1)
    frozen = FrozenRun(run, images, "reinforce")
    variances = frozen.variance(minibatches=1, draws=50)
    square = (frozen.fixed_batches(0) - images.mean).square().sum()
    expected = variances["logit_variance"] * (square + 1) / (12 + 1)  # 12 pixels, and the bias
    torch.testing.assert_close(variances["encoder_variance"], expected)


def test_tuning_in_parts_is_tuning_at_once(images):  # noqa: F811
    """Measuring on the way changes nothing of what is learned."""
    runs = [FrozenRun(settings(), images, "relax") for _ in range(2)]
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
        frozen = FrozenRun(run, images, name, **changed)
        frozen.load(folder / "40.pt")
        estimate = frozen.estimate(frozen.batches(0), frozen.noise(0))
        gradients[made_of] = torch.cat([layer.gradient for layer in estimate.layers], -1).detach()
    torch.testing.assert_close(gradients["relaxed cost + network"], gradients["relaxed cost"])
    for same in ("network", "baseline"):
        torch.testing.assert_close(gradients[same], gradients["nothing"])
    assert not torch.allclose(gradients["relaxed cost"], gradients["nothing"])


def test_variance_falls_while_it_is_optimised(images, trained):  # noqa: F811
    """One row a contestant, seed and measurement; the two that start far off come down."""
    run, folder = trained
    plan = MidtrainingSettings(tuning_steps=400, measurements=4, minibatches=2, draws=40)
    tables = halfway(run, plan, images, folder / "40.pt")
    table = tables["midtraining"]
    assert len(table) == len(CONTESTANTS) * 2 * 5
    assert list(table.step.unique()) == [0, 100, 200, 300, 400]
    for each in tables.values():
        assert (each.checkpoint == 40).all()
        assert (each.trajectory == "rebar").all()
    level = np.log(table.set_index(["surrogate", "seed", "step"]).encoder_variance)
    for surrogate in ("network", "baseline"):
        for seed in run.seeds:
            assert level[surrogate, seed, 400] < level[surrogate, seed, 0] - 0.05
    start = level.xs(0, level="step")
    np.testing.assert_allclose(start["relaxed cost + network"], start["relaxed cost"], rtol=1e-4)
    cosine = tables["gradients"].set_index(["surrogate", "seed"]).cosine
    assert len(cosine) == len((*CONTESTANTS, *OTHERS)) * 2
    assert (cosine["relaxed cost"] > cosine["nothing"]).all()
    assert tables["assumptions"].share.between(0, 1).all()
    assert set(tables["assumptions"].estimator) == {"rebar", "muprop", "nvil"}


def test_tuning_ends_where_it_is_flat(images, trained):  # noqa: F811
    """λ and η of the run's own training are not the best: tuned they have less variance, and the
    next updates change nothing. With too few updates it is said not to be flat."""
    run, folder = trained
    frozen = FrozenRun(run, images, "rebar")
    frozen.load(folder / "40.pt")
    before = frozen.variance(4, 40)["encoder_variance"].log()
    tuning = frozen.tune_until_flat(50, 3000, 4)
    assert tuning.flat.all()
    assert (tuning.updates < 3000).all()
    after = frozen.variance(4, 40)["encoder_variance"].log()
    assert (after < before + FLAT).all()
    assert after.mean() < before.mean() - 5 * FLAT
    again = frozen.tune_until_flat(50, 200, 4)
    assert again.fall.mean() < 5 * FLAT
    short = FrozenRun(run, images, "rebar")
    short.load(folder / "40.pt")
    assert not short.tune_until_flat(50, 50, 4).flat.any()


def test_a_seed_is_tuned_as_if_alone(images, trained):  # noqa: F811
    """When it ends, and what it keeps, does not depend on the seeds beside it."""
    run, folder = trained
    tensors = load_checkpoint(folder / "40.pt")
    both = FrozenRun(run, images, "rebar")
    one = FrozenRun(replace(run, seeds=range(1)), images, "rebar")
    both.model.load_state_dict(part_of(tensors, "model.", slice(None)))
    one.model.load_state_dict(part_of(tensors, "model.", slice(1)))
    many, alone = both.tune_until_flat(50, 400, 2), one.tune_until_flat(50, 400, 2)
    assert alone.updates[0] == many.updates[0]
    assert bool(alone.flat[0]) == bool(many.flat[0])
    for name, value in one.surrogates.state_dict().items():
        torch.testing.assert_close(value[0], both.surrogates.state_dict()[name][0])


def part_of(tensors, prefix, rows):
    """Of a checkpoint, the state of a module, these replicas alone."""
    return {
        name.removeprefix(prefix): t if name.endswith("pixel_mean") else t[rows]
        for name, t in tensors.items()
        if name.startswith(prefix)
    }


def test_gradients_are_compared_with_the_true_one(images, tmp_path):  # noqa: F811
    """The reference of many draws against enumeration: |μ|² has no bias, nor has an unbiased g.

    Of the exact gradient itself the cosine is 1 and the error 0. Negative control: Concrete's bias,
    at a temperature far above zero, is found. Six standard errors throughout, 6 comparisons.
    """
    run = settings("rebar", "linear1", seeds=range(4))
    vae_training.train(run, images, {12: tmp_path / "12.pt"})
    runs = {name: FrozenRun(run, images, name) for name in ("exact", "reinforce", "rebar")}
    runs["concrete"] = FrozenRun(run, images, "concrete", temperature=5.0)
    for frozen in runs.values():
        frozen.direct = False
        frozen.load(tmp_path / "12.pt")
    true = many_sample_gradient(runs["exact"], 3, 2)
    found = many_sample_gradient(runs["rebar"], 3, 400)
    ratio = sum(found.squares) / sum(true.squares)
    assert abs(ratio.mean() - 1) < 6 * ratio.std() / len(ratio) ** 0.5
    exact = compare(runs["exact"], true, 2)
    for name, value in (("cosine", 1.0), ("relative_error", 0.0), ("squared_bias", 0.0)):
        torch.testing.assert_close(exact[name], torch.full((4,), value), atol=2e-3, rtol=0)
    plain = compare(runs["reinforce"], true, 400)
    expected = (1 + plain["relative_error"].square()).rsqrt()  # E[g·μ] = |μ|²
    torch.testing.assert_close(plain["cosine"], expected, rtol=0.2, atol=0)
    for against in (true, found):
        bias = compare(runs["reinforce"], against, 400)["squared_bias"]
        assert abs(bias.mean()) < 6 * bias.std() / len(bias) ** 0.5
        assert (compare(runs["concrete"], against, 100)["squared_bias"] > 0.05).all()


def test_shares_of_a_variance():
    """By hand; and nothing lies between images that differ by noise alone."""
    x = torch.tensor([[1.0], [2.0], [3.0]])
    assert squared_correlation(x, 5 - 2 * x).item() == pytest.approx(1)
    assert squared_correlation(x, torch.tensor([[1.0], [0.0], [1.0]])).item() == pytest.approx(0)
    noise = torch.from_numpy(generator(0, "noise").normal(size=(30, 50, 24)))
    of_images = torch.arange(24.0).double()
    assert between_share(noise).mean() < 0.02
    share = between_share(noise + of_images)
    assert share.mean().item() == pytest.approx(50 / 51, abs=0.01)  # Var(0...23) is 50


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
