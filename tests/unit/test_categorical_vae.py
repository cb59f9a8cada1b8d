"""The VAE with categorical latents: its cost, its gradients, training and all behind it."""

import itertools

import pandas as pd
import pytest
import torch
from torch.distributions import Bernoulli, OneHotCategorical
from unit.test_divergence import whole_grid
from unit.test_vae import BATCH, check_bounds, images, settings  # noqa: F401

from relax.errors import ConfigError
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import estimator_names
from relax.experiments.vae import claims, gradient_summary, midtraining_summary, summary
from relax.experiments.vae.figures import fig3_vae_training, fig4_vae_variance, fig5_vae_midtraining
from relax.experiments.vae.gradients import encoder_estimate, set_model_gradients
from relax.experiments.vae.model import CATEGORICAL_MODELS, DiscreteVAE
from relax.experiments.vae.picture_figures import fig12_vae_pictures
from relax.experiments.vae.trainer import build
from relax.experiments.vae.training import train
from relax.numerics.replicas import parameter_generators
from relax.presentation.judge import NOT_TESTED, stack
from relax.presentation.style import save
from relax.relaxations.categorical import Categorical
from relax.runs import misfits

VARIABLES, OUTCOMES = 3, 4
SHAPE = {"latents": VARIABLES, "outcomes": OUTCOMES}
ABLE = estimator_names(VARIABLES * OUTCOMES, kind="categorical")


def test_the_configuration_knows_the_models():
    """It cannot import torch, and has the list a second time."""
    assert tuple(CATEGORICAL_MODELS) == misfits.CATEGORICAL_MODELS


def by_variable(x):
    return x.unflatten(-1, (VARIABLES, OUTCOMES))


@pytest.mark.parametrize("name", CATEGORICAL_MODELS)
def test_cost_is_the_negative_elbo(images, name):  # noqa: F811
    """Against the library's one-hot distribution; and linear in a relaxed b that sums to one."""
    run = settings("reinforce", name, **SHAPE)
    model, *_ = build(run, images)
    torch.nn.init.normal_(model.prior_logits)
    x = images.train[:BATCH].expand(2, -1, -1)
    u = run.noise_stream("noise")(0).u
    assert u.dtype is torch.float64  # for the Gumbel's tail
    logits = model.encode(0, x)
    b = model.relaxation.hard_sample(logits, u)
    assert (by_variable(b).sum(-1) == 1).all()
    q, prior = (OneHotCategorical(logits=by_variable(a)) for a in (logits, model.prior_logits))
    p = Bernoulli(logits=model.decode(0, b)).log_prob(x).sum(-1)
    chosen = by_variable(b)
    expected = q.log_prob(chosen).sum(-1) - prior.log_prob(chosen).sum(-1) - p
    torch.testing.assert_close(model.cost(x, logits, [u]), expected)


def test_bounds_approach_the_log_likelihood_from_below(images):  # noqa: F811
    """log p(x) is a sum over 2 x 3 values; slack as in the same test of bits."""
    relaxation = Categorical(2, 3)
    mean, seeds = images.mean.double(), range(2)
    model = DiscreteVAE("linear1", mean, 6, parameter_generators(seeds), relaxation)
    with torch.no_grad():
        model.decoders[0].layers[-1].weight *= 2
        torch.nn.init.normal_(model.prior_logits)
        x, terms = images.valid.double(), []
        for b, probability in relaxation.states(model.prior_logits):
            down = Bernoulli(logits=model.decode(0, b))  # [replica, 1, pixel]
            terms.append(probability.log() + down.log_prob(x).sum(-1))
        exact = torch.logsumexp(torch.stack(terms), 0).mean(1)
    check_bounds(model, x, seeds, exact)


@pytest.mark.parametrize(("name", "model_name"), list(itertools.product(ABLE, CATEGORICAL_MODELS)))
def test_every_parameter_gets_its_own_gradient_and_nothing_else(images, name, model_name):  # noqa: F811
    run = settings(name, model_name, **SHAPE)
    model, estimator, surrogates = build(run, images)
    x = images.train[:BATCH].expand(2, -1, -1)
    noise = run.noise_stream("noise")(0)
    estimate = encoder_estimate(estimator, surrogates, model, x, noise)
    learn_surrogates(estimator, surrogates, estimate.layers)
    assert all(p.grad is None for p in model.parameters())
    set_model_gradients(estimate, list(model.parameters()))
    (layer,), (encoder,) = estimate.layers, model.encoders
    expected = torch.autograd.grad(
        model.encode(0, x), list(encoder.parameters()), layer.gradient.detach() / BATCH
    )
    for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    # A constant may be added to the logits of a variable: no estimate has a part along it.
    by_outcome = by_variable(layer.gradient.detach()).sum(-1)
    torch.testing.assert_close(by_outcome, torch.zeros_like(by_outcome), atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", ["reinforce", "concrete", "relax"])
def test_training_learns(images, name):  # noqa: F811
    table, best = train(settings(name, steps=300, **SHAPE), images, {})
    first, last = (table[table.step == step].train_elbo for step in (6, 300))
    assert (last.to_numpy() > first.to_numpy() + 0.2).all()
    assert (best.valid_bound >= best.valid_elbo).all()


def test_a_chain_of_several_layers_is_refused_by_name(images):  # noqa: F811
    with pytest.raises(ConfigError, match="'linear2' has no categorical latents"):
        build(settings("rebar", "linear2", **SHAPE), images)


def test_all_behind_the_training(images, tmp_path):  # noqa: F811
    """Variance, halfway, pictures; the tables of them and the figures, which say what it is."""
    tables = whole_grid(images, tmp_path, [(0.001,)], (0.001,), **SHAPE)
    assert (tables["variance"].encoder_variance > 0).all()
    told = tables["training"].assign(latents="3 x 4")  # as the workflow joins it
    table = summary.summarise(told, tables["best"])
    assert table.published_train_elbo.isna().all()
    assert table.latents.tolist() == ["3 x 4"] * 2
    people = summary.for_people(table)
    assert people.scale.tolist() == ["3 x 4 categorical latents; 2 seeds, 12 steps"] * 2
    rows = midtraining_summary.summarise(told, tables["midtraining"])
    assert rows.log_variance.notna().all()
    rows = gradient_summary.summarise(told, tables["gradients"], tables["assumptions"])
    assert rows.assumption[rows.estimator == "rebar"].between(0, 1).all()
    figures = [
        fig3_vae_training(told),
        fig4_vae_variance(told, tables["variance"]),
        fig5_vae_midtraining(told, tables["midtraining"], tables["gradients"]),
    ]
    for figure in figures:
        save(figure, [tmp_path / "figure.svg"])
        texts = [text.get_text() for text in figure.findobj() if hasattr(text, "get_text")]
        assert any("3 x 4 categorical latents" in text for text in texts)
    save(fig12_vae_pictures(tables["pictures"]), [tmp_path / "figure.svg"])
    judged = stack(row for claim in claims.CLAIMS for row in claim(tables | {"training": told}))
    assert set(judged.verdict) > {NOT_TESTED}


def test_bits_are_what_they_were(images):  # noqa: F811
    """The default: the same tables to the last bit as settings that know of no kind."""
    run = settings("rebar")
    assert run.outcomes is None
    one, two = train(run, images, {}), train(settings("rebar", outcomes=None), images, {})
    for mine, other in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)
