"""Training: what reaches each parameter, finite checks, replicas, and repeatability."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch

from relax.checkpoints import load_checkpoint, save_checkpoint
from relax.data import Images
from relax.errors import ConfigError, DataError, NonFiniteError
from relax.problems import toy, vae_training, vae_variance
from relax.problems.vae_training import VAESettings, build, encoder_estimate, set_gradients
from relax.streams import NoiseStream, generator
from relax.surrogates import SurrogateSpec
from relax.training import check_finite, progress

ESTIMATORS = ["reinforce", "concrete", "rebar", "relax"]
SPEC = SurrogateSpec(hidden=(6,), squash=False, add_relaxed_cost=True, dtype=torch.float32)


@pytest.fixture(scope="module")
def images():
    draws = generator(0, "split").random((70, 12)) < np.linspace(0.1, 0.9, 12)
    tensor = torch.from_numpy(draws.astype(np.float32))
    return Images(tensor[:50], tensor[50:60], tensor[60:], (3, 4))


def settings(estimator="relax", seeds=range(2), **changes):
    values = {"steps": 12, "batch": 8, "latents": 5, "learning_rate": 0.01, "spec": SPEC}
    return VAESettings("toy", "linear1", estimator, seeds=seeds, **(values | changes))


@pytest.mark.parametrize("kind", ["independent", "coupled"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter_gets_its_own_gradient_and_nothing_else(images, name, kind):
    """The encoder's is the estimate, exactly; nothing of ∂φ g² leaks into the model."""
    run = settings(name)
    model, estimator, surrogate = build(run, images)
    x = images.train[:8].expand(2, -1, -1)
    noise = NoiseStream(run.seeds, "noise", 8, 5, kind, torch.float32)(0)
    logits, estimate = encoder_estimate(estimator, surrogate, model, x, noise)
    set_gradients(surrogate, logits, estimate)

    centered = x - images.mean
    per_logit = estimate.gradient.detach() / 8
    expected = torch.bmm(centered.transpose(1, 2), per_logit)
    torch.testing.assert_close(model.encoder.weight.grad, expected)
    assert torch.equal(model.encoder.bias.grad, per_logit.sum(1, keepdim=True))

    pixels = model.decoder(2 * estimate.sample - 1)
    error = (torch.sigmoid(pixels) - x).detach() / 8  # derivative of the mean cost in the pixels
    decoder = torch.bmm((2 * estimate.sample - 1).transpose(1, 2), error)
    torch.testing.assert_close(model.decoder.weight.grad, decoder)
    prior = (torch.sigmoid(model.prior_logits) - estimate.sample).mean(1, keepdim=True)
    torch.testing.assert_close(model.prior_logits.grad, prior.detach())


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_surrogate_gets_the_derivative_of_g_squared(images, name):
    """Against central differences of Σ mean g², in float64 and on captured noise."""
    run = settings(name, seeds=range(1))
    model, estimator, surrogate = build(run, images)
    model, surrogate = model.double(), surrogate.double()
    x = images.train[:8].double().expand(1, -1, -1)
    noise = NoiseStream(run.seeds, "noise", 8, 5, "coupled", torch.float64)(0)

    def objective():
        gradient = encoder_estimate(estimator, surrogate, model, x, noise)[1].gradient
        return gradient.detach().square().mean(1).sum().item()

    logits, estimate = encoder_estimate(estimator, surrogate, model, x, noise)
    set_gradients(surrogate, logits, estimate)
    step = 1e-5
    for parameter in surrogate.parameters():
        flat, slope = parameter.data.view(-1), parameter.grad.view(-1)
        for index in range(0, flat.numel(), max(1, flat.numel() // 5)):
            start = flat[index].item()
            flat[index] = start + step
            above = objective()
            flat[index] = start - step
            below = objective()
            flat[index] = start
            assert slope[index].item() == pytest.approx(
                (above - below) / (2 * step), rel=1e-4, abs=1e-6
            )


def test_training_is_repeatable_and_a_seed_stands_alone(images, tmp_path):
    """Bit for bit on the same job; to rounding when seeds share a job or not."""

    def run(seeds, folder):
        paths = {step: tmp_path / folder / f"{step}.pt" for step in (0, 12)}
        return vae_training.train(settings(seeds=seeds), images, paths)

    both, again, alone = run(range(2), "a"), run(range(2), "b"), run(range(1, 2), "c")
    pd.testing.assert_frame_equal(both, again, check_exact=True)
    assert (tmp_path / "a/12.pt").read_bytes() == (tmp_path / "b/12.pt").read_bytes()
    own = both[both.seed == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone, rtol=1e-4)
    assert both[both.seed == 0].train_elbo.iloc[-1] != own.train_elbo.iloc[-1]


def test_training_learns(images):
    table = vae_training.train(settings("rebar", steps=300), images, {})
    first, last = (table[table.step == step].train_elbo for step in (6, 300))
    assert (last.to_numpy() > first.to_numpy() + 0.5).all()
    assert list(table.columns) == [
        *("dataset", "model", "estimator", "learning_rate", "noise", "direct_gradient"),
        *("seed", "step", "epoch", "train_elbo", "valid_elbo"),
    ]


def test_variance_is_measured_at_every_checkpoint_for_every_estimator(images, tmp_path):
    run = settings("rebar")
    paths = {step: tmp_path / f"{step}.pt" for step in (0, 12)}
    vae_training.train(run, images, paths)
    measure = vae_variance.MeasureSettings(ESTIMATORS, tuning_steps=3, minibatches=2, draws=20)
    table = vae_variance.measure_variance(run, measure, images, paths.values())
    assert len(table) == len(ESTIMATORS) * 2 * 2
    assert set(table.step) == {0, 12}
    assert (table.encoder_variance > 0).all()
    means = table.groupby("estimator").encoder_variance.mean()
    assert means["rebar"] < means["reinforce"]


def test_running_moments_are_the_librarys(images):
    values = torch.from_numpy(generator(0, "noise").normal(1e3, 1.0, (500, 7)))
    moments = vae_variance.RunningMoments()
    for value in values:
        moments.add(value)
    torch.testing.assert_close(moments.mean, values.mean(0))
    torch.testing.assert_close(moments.variance, values.var(0))


def test_linear_encoders_variance_follows_from_the_logits(images):
    """For one linear layer Var[W's gradient] = Σ_i x_i² Var[logit gradient]_i / B², exactly."""
    run = settings("reinforce", seeds=range(1), batch=1)
    model, estimator, surrogate = build(run, images)
    batches = vae_training.Minibatches(images.train, run.seeds, 1, "variance")
    noise = NoiseStream(run.seeds, "variance", 1, 5, "coupled", torch.float32)
    measure = vae_variance.MeasureSettings([], minibatches=1, draws=50)
    encoder, logit = vae_variance.encoder_variance(
        estimator, surrogate, model, run, batches, noise, measure
    )
    square = (batches(0) - images.mean).square().sum()
    expected = logit * (square + 1) / (12 + 1)  # weights of 12 pixels, and the bias
    torch.testing.assert_close(encoder, expected)


@pytest.mark.parametrize("part", ["cost", "gradient"])
def test_finite_check_names_step_seed_and_estimator(part):
    values = {"cost": torch.zeros(3, 4), "gradient": torch.zeros(3, 4, 2)}
    check_finite(step=7, seeds=range(10, 13), estimator="rebar", **values)
    values[part][1, 2] = float("nan")
    with pytest.raises(NonFiniteError, match=rf"the {part} .* step 7, seed 11, estimator 'rebar'"):
        check_finite(step=7, seeds=range(10, 13), estimator="rebar", **values)


def test_a_run_that_diverges_ends_with_an_error_that_says_where(images):
    with pytest.raises(NonFiniteError, match=r"at step \d+, seed \d, estimator 'relax'"):
        vae_training.train(settings(learning_rate=1e30), images, {})


def test_a_minibatch_larger_than_the_data_is_refused(images):
    with pytest.raises(ConfigError, match=r"vae\.batch: must be 50 .* or less: 51"):
        vae_training.train(settings(batch=51), images, {})


def test_an_overflow_in_the_last_update_is_caught(images, tmp_path):
    """After the only update no further estimate would show it; the checkpoint must not be left."""
    huge = SurrogateSpec(hidden=(6,), squash=False, scale=1e30, dtype=torch.float32)
    with pytest.raises(NonFiniteError, match="at step 1, seed 0, estimator 'rebar'"):
        vae_training.train(settings("rebar", steps=1, spec=huge), images, {1: tmp_path / "1.pt"})
    assert not list(tmp_path.iterdir())


def test_progress_is_in_the_log():
    log = StringIO()
    with progress("a title", 20, log) as bar:
        for _ in range(20):
            bar.advance(note="loss 1.0")
    assert "a title: step 20/20" in log.getvalue()
    assert "loss 1.0" in log.getvalue()


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", None])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"x": torch.arange(100.0)}, path)
    assert torch.equal(load_checkpoint(path)["x"], torch.arange(100.0))
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"checkpoint\.pt is not a readable checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_of_another_model_is_refused(images, tmp_path):
    vae_training.train(settings(steps=1), images, {0: tmp_path / "0.pt"})
    model, *_ = build(settings(latents=6), images)
    with pytest.raises(DataError, match=r"0\.pt does not fit the configured model"):
        vae_variance.load_model(model, tmp_path / "0.pt")


@pytest.mark.parametrize("name", ["exact", *ESTIMATORS])
def test_toy_table_has_the_documented_columns(name):
    run = toy.ToySettings(0.45, name, range(3), steps=20, record_every=8, variance_samples=50)
    table = toy.train(run)
    assert list(table.columns) == [
        *("estimator", "target", "noise", "seed", "step", "theta", "loss"),
        *("gradient_variance", "exact_variance"),
    ]
    assert sorted(set(table.step)) == [0, 8, 16, 20]
    pd.testing.assert_frame_equal(table, toy.train(run), check_exact=True)


def test_measured_variance_agrees_with_quadrature():
    """Ratio of the two over 40 seeds, 4,000 samples each: 1 within five standard errors."""
    for name in ("reinforce", "rebar", "relax"):
        run = toy.ToySettings(0.45, name, range(40), steps=1, variance_samples=4000)
        table = toy.train(run)
        ratio = table.gradient_variance / table.exact_variance
        # The spread between seeds is the standard error, whatever the kurtosis.
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / len(ratio) ** 0.5
        assert ratio.std() < 0.2


def test_relaxations_are_tuned_from_the_same_start():
    run = toy.ToySettings(0.45, "rebar", range(2), steps=5)
    table = toy.tune_relaxations(run, 0.5, points=11)
    cost = table[table.estimator == "cost"]
    assert sorted(set(cost.value.round(4))) == [0.2025, 0.3025]
    assert len(table[table.estimator == "rebar"]) == 22
    assert table[table.estimator == "rebar"].unscaled.notna().all()
