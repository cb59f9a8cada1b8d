"""Training a VAE: repeatable, learning, kept where it was best."""

import itertools

import pandas as pd
import pytest
import torch
from torch.distributions import Bernoulli
from unit import test_vae
from unit.test_vae import (
    BATCH,
    LATENTS,
    PIXELS,
    check_bounds,
    one_estimate,
    settings,
)

from relax.errors import ConfigError, DataError
from relax.experiments.vae import frozen as vae_frozen
from relax.experiments.vae import trainer as vae_trainer
from relax.experiments.vae import training as vae_training
from relax.experiments.vae.model import MODELS, DiscreteVAE
from relax.experiments.vae.trainer import build
from relax.numerics.replicas import parameter_generators
from relax.runs.checkpoints import load_checkpoint

images = test_vae.images  # the fixture


@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("name", ["nvil", "relax"])
def test_training_is_repeatable_and_a_seed_stands_alone(images, tmp_path, name, model_name):
    """Bit for bit on the same job; to rounding when seeds share a job or not."""

    def run(seeds, folder):
        paths = {step: tmp_path / folder / f"{step}.pt" for step in (0, 12)}
        best = tmp_path / folder / "best.pt"
        return vae_training.train(settings(name, model_name, seeds=seeds), images, paths, best)

    both, again, alone = run(range(2), "a"), run(range(2), "b"), run(range(1, 2), "c")
    for mine, repeated, own in zip(both, again, alone, strict=True):
        pd.testing.assert_frame_equal(mine, repeated, check_exact=True)
        shared = mine[mine.seed == 1].reset_index(drop=True)
        pd.testing.assert_frame_equal(shared, own, rtol=1e-4)
        assert mine[mine.seed == 0].valid_elbo.iloc[-1] != own.valid_elbo.iloc[-1]
    for file in ("12.pt", "best.pt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("name", ["nvil", "muprop", "rebar", "relax"])
@pytest.mark.parametrize("model_name", MODELS)
def test_training_learns(images, name, model_name):
    table, _ = vae_training.train(settings(name, model_name, steps=300), images, {})
    first, last = (table[table.step == step].train_elbo for step in (6, 300))
    assert (last.to_numpy() > first.to_numpy() + 0.2).all()
    assert list(table.columns) == [
        *("dataset", "model", "estimator", "learning_rate", "noise", "direct_gradient"),
        *("seed", "step", "epoch", "train_elbo", "valid_elbo", "diverged_step"),
    ]


@pytest.mark.parametrize("model_name", MODELS)
def test_bounds_approach_the_log_likelihood_from_below(images, model_name):
    """With 3 latents log p(x) is a sum; ELBO < bound of 200 < log p(x), and the gaps shrink.

    The slack is five standard errors of the mean over images, measured over repetitions.
    """
    latents, seeds = 3, range(2)
    model = DiscreteVAE(model_name, images.mean.double(), latents, parameter_generators(seeds))
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=latents))).double()
    states = states.expand(2, -1, -1)
    x = images.valid.double()
    with torch.no_grad():
        for decoder in model.decoders:
            decoder.layers[-1].weight *= 2
        log_p = Bernoulli(logits=model.prior_logits).log_prob(states).sum(-1)  # [replica, state]
        for layer in reversed(range(len(model.decoders))):
            down = Bernoulli(logits=model.decode(layer, states).unsqueeze(1))
            targets = x.expand(2, -1, -1) if layer == 0 else states
            each = down.log_prob(targets.unsqueeze(2)).sum(-1)  # [replica, target, state]
            log_p = torch.logsumexp(each + log_p.unsqueeze(1), -1)
    exact = log_p.mean(1)
    check_bounds(model, x, seeds, exact)


def test_the_kept_model_is_the_one_with_the_best_validation_elbo(images, tmp_path):
    """Each seed its own: the table's row, the file's step, and the parameters of that step."""
    run = settings("rebar", steps=60, learning_rate=0.3)
    everything = {step: tmp_path / f"{step}.pt" for step in range(6, 61, 6)}
    training, best = vae_training.train(run, images, everything, tmp_path / "best.pt")
    kept = load_checkpoint(tmp_path / "best.pt")
    peaks = training.loc[training.groupby("seed").valid_elbo.idxmax()]
    assert list(peaks.step) == list(best.step) == kept["step"].tolist()
    assert best.step.min() < 60  # a real choice
    for replica, step in enumerate(best.step):
        then = load_checkpoint(everything[step])
        name = "model.encoders.0.layers.0.weight"
        assert torch.equal(kept[name][replica], then[name][replica])
    assert (best.valid_bound >= best.valid_elbo).all()
    assert list(best.columns[-6:]) == [
        *("valid_elbo", "valid_bound", "test_elbo", "test_bound", "bound_samples"),
        "diverged_step",
    ]


def test_pretraining_moves_the_surrogate_alone(images, tmp_path):
    """φ differs at step 0 from a run without it, θ does not; nothing to learn, nothing done."""

    def at_start(folder, name="relax", **changes):
        path = tmp_path / folder / "0.pt"
        vae_training.train(settings(name, steps=1, **changes), images, {0: path})
        return load_checkpoint(path)

    plain, ahead = at_start("a"), at_start("b", pretraining_steps=5)
    moved = {name for name in plain if not torch.equal(plain[name], ahead[name])}
    assert moved
    assert all(name.startswith("surrogates.") for name in moved)
    nothing = at_start("c", "reinforce"), at_start("d", "reinforce", pretraining_steps=5)
    assert all(torch.equal(nothing[0][name], nothing[1][name]) for name in nothing[0])


def test_surrogate_settings_reach_the_optimiser(images):
    """Weight decay for the networks' weights alone, and φ's own learning rate."""
    run = settings(surrogate_learning_rate_scale=10.0, surrogate_weight_decay=0.25)
    trainer = vae_trainer.Trainer(run, images)
    names = {id(p): name for name, p in trainer.learned.named_parameters()}
    found = {
        names[id(parameter)]: (block.rate, block.decay)
        for parameter, (block,) in zip(
            trainer.optimizer.parameters, trainer.optimizer.blocks, strict=True
        )
    }
    assert found.keys() == set(names.values())
    for name, (rate, decay) in found.items():
        surrogate = name.startswith("surrogates")
        assert rate == pytest.approx(0.1 if surrogate else 0.01)
        assert decay == (0.25 if surrogate and name.endswith(".weight") else 0)


def test_nvils_baseline_follows_the_costs(images):
    """Its running mean and scale forget at the rate 0.2 a step, and only after the estimate."""
    _, _, surrogates, make = one_estimate(settings("nvil"), images)
    (baseline,) = surrogates
    cost = make().cost.detach()
    before = baseline(torch.zeros(2, BATCH, LATENTS), None, torch.zeros(2, BATCH, PIXELS))
    baseline.observe(cost)
    mean = 0.2 * cost.mean(1)
    torch.testing.assert_close(baseline.mean.flatten(), mean)
    spread = 0.2 * (cost - mean.unsqueeze(1)).square().mean(1)
    torch.testing.assert_close(baseline.variance.flatten(), spread)
    after = baseline(torch.zeros(2, BATCH, LATENTS), None, torch.zeros(2, BATCH, PIXELS))
    scale = spread.sqrt().clamp(min=1).unsqueeze(1)
    torch.testing.assert_close(after, mean.unsqueeze(1) + scale * before)


def test_a_minibatch_larger_than_the_data_is_refused(images):
    with pytest.raises(ConfigError, match=r"vae\.batch: must be 50 .* or less: 51"):
        vae_training.train(settings(batch=51), images, {})


@pytest.mark.parametrize("changes", [{"latents": 6}, {"model": "linear2"}, {"model": "nonlinear"}])
def test_a_checkpoint_of_another_model_is_refused(images, tmp_path, changes):
    vae_training.train(settings(steps=1), images, {0: tmp_path / "0.pt"})
    model, *_ = build(settings(**changes), images)
    with pytest.raises(DataError, match=r"0\.pt does not fit the configured model"):
        vae_frozen.load_model(model, tmp_path / "0.pt")
