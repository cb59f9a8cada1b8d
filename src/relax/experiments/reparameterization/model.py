"""Counts with Gamma rates: Poisson factors of scikit-learn's digits, trained by each estimator.

    x_ij ~ Poisson(Σ_k z_ik W_kj),    z_ik ~ Gamma(a, b),    q(z_ik) = Gamma(α_ik, β_ik)

x are the grey values, 0 to 16, of image i at pixel j. The bound on the log-probability of an image
is E_q[log p(x|z)] - KL(q, p); the divergence of two Gammas has a closed form, and only the first
term needs an estimator. α, β and W are learned by their logarithms.
"""

from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd
import torch
from torch.distributions import Gamma as GammaLaw
from torch.distributions import kl_divergence

from relax.estimators.reparameterization import DECOMPOSITIONS, path_estimate
from relax.estimators.variance import sample_moments, variance_objective
from relax.experiments.reparameterization.names import DIFFERENTIABLE, LEARNED, TERMS
from relax.experiments.reparameterization.problem import GAMMA
from relax.experiments.reparameterization.surrogates import OfFeatures
from relax.numerics.finite import check_finite
from relax.numerics.optimizers import adam
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import generator
from relax.runs.progress import Progress

PRIOR = (0.5, 0.5)  # a and b
# η at the start: `recursive` and `implicit_lax` then are the implicit gradient. LAX's c is the
# network alone; with η f in it, it would be `implicit_lax` with another η.
SCALES = {"recursive": 1.0, "lax": None, "implicit_lax": 0.0}
BOUND_SAMPLES = 20  # of z an image, behind each recorded bound; the same noise at every step


def counts(images):
    """Grey values of the first digits, [image, pixel]; of pixels that are not always zero."""
    from sklearn.datasets import load_digits

    x = load_digits().data[:images]
    return torch.as_tensor(x[:, x.sum(0) > 0], dtype=torch.float64)


@dataclass(frozen=True)
class ModelSettings:
    """`reparameterization.model` in config.yaml."""

    images: int
    latents: int
    seeds: int
    steps: int
    learning_rate: float
    surrogate_learning_rate: float
    measurements: int
    tuning_steps: int
    draws: int
    surrogate: dict = field(default_factory=dict)

    @classmethod
    def of(cls, params):
        """From a workflow rule's params."""
        return cls(**{f.name: params[f.name] for f in fields(cls)})


class PoissonFactors:
    """The model and its q, for every seed: parameters, and the parts of the bound."""

    def __init__(self, settings, x):
        self.x, self.seeds = x, list(range(settings.seeds))
        images, pixels = x.shape
        shape = (len(self.seeds), images, settings.latents)
        self.log_alpha = torch.zeros(shape, dtype=x.dtype, requires_grad=True)
        self.log_beta = torch.zeros(shape, dtype=x.dtype, requires_grad=True)
        # Rates start near the mean image's, each factor's at a random distance from them.
        mean = torch.log(x.mean(0) / settings.latents + 0.1)
        draws = [g.normal(0, 0.3, (settings.latents, pixels)) for g in self.generators("split")]
        self.log_w = (mean + torch.as_tensor(np.stack(draws))).requires_grad_()

    def generators(self, purpose, index=0):
        return [generator(seed, purpose, index) for seed in self.seeds]

    @property
    def parameters(self):
        """α, then β: [seed, image, 2 latents]."""
        return torch.cat([self.log_alpha, self.log_beta], -1).exp()

    def cost(self, z, copies=1):
        """-log p(x|z): [seed, copies * image, latent] -> [seed, copies * image]."""
        rate = torch.matmul(z, self.log_w.exp())
        x = self.x.repeat(copies, 1)
        return (rate - x * torch.log(rate) + torch.lgamma(x + 1)).sum(-1)

    def divergence(self):
        """KL(q, p) of every image: [seed, image]."""
        alpha, beta = self.parameters.chunk(2, -1)
        prior = GammaLaw(*(torch.full_like(alpha, value) for value in PRIOR))
        return kl_divergence(GammaLaw(alpha, beta), prior).sum(-1)

    @torch.no_grad()
    def bound(self):
        """The bound, nats an image: [seed]."""
        wide = self.parameters.repeat(1, BOUND_SAMPLES, 1)
        z = GAMMA.sample(wide, self.generators("evaluation"))
        return -(self.cost(z, BOUND_SAMPLES).mean(1) + self.divergence().mean(1))

    def surrogate(self, estimator, settings):
        """c of an image: it sees z, and the image's counts."""
        if estimator not in LEARNED:
            return None
        with torch.no_grad():
            z = GAMMA.sample(self.parameters.repeat(1, 20, 1), self.generators("variance"))
            unit = self.cost(z, 20).std(1, keepdim=True)
        return OfFeatures(
            parameter_generators(self.seeds),
            *(self.parameters, unit),
            **settings.surrogate,
            context=self.x.shape[1],
            scale=SCALES[estimator],
        )

    def context(self, copies=1):
        """What c sees: the counts, from 0 to 1."""
        return (self.x / 16).repeat(copies, 1).expand(len(self.seeds), -1, -1)


def in_logarithms(estimate, parameters):
    """The gradient in log α and log β, and its terms: each is multiplied by the parameter."""
    values = {name: getattr(estimate, name) * parameters for name in ("gradient", *TERMS)}
    return estimate._replace(**values)


def descend(model, estimator, surrogate, phi, drawn):
    """Put g²'s gradient on φ; the estimate."""
    if surrogate:
        surrogate.see(model.parameters)
    estimate = path_estimate(estimator, drawn, model.cost, surrogate, model.context())
    estimate = in_logarithms(estimate, model.parameters.detach())
    if phi:
        objective = variance_objective(estimate.gradient).sum()
        for parameter, gradient in zip(phi, torch.autograd.grad(objective, phi), strict=True):
            parameter.grad = gradient
    return estimate


def train(settings, estimator, x, log=None):
    """One estimator's training: the table, and the trained model.

    Columns: estimator, seed, step, bound (nats an image).
    """
    model = PoissonFactors(settings, x)
    surrogate = model.surrogate(estimator, settings)
    phi = surrogate.learned_parameters() if surrogate else []
    rate = settings.learning_rate
    groups = [([model.log_alpha, model.log_beta, model.log_w], rate)]
    optimizer = adam([*groups, (phi, settings.surrogate_learning_rate)])
    every = max(1, settings.steps // settings.measurements)
    needed = DECOMPOSITIONS[estimator].paths
    rows = [_bounds(model, estimator, 0)]
    with Progress(f"model, {estimator}", settings.steps, log) as bar:
        for step in range(settings.steps):
            drawn = GAMMA.draw(model.parameters, model.generators("noise", step), needed)
            estimate = descend(model, estimator, surrogate, phi, drawn)
            check_finite(step=step, seeds=model.seeds, estimator=estimator, g=estimate.gradient)
            # Of W, f's own parameter, and of the divergence the gradient is the tape's.
            rest = (model.cost(drawn.z) + model.divergence()).sum()
            logs = (model.log_alpha, model.log_beta, model.log_w)
            of_alpha, of_beta, of_w = torch.autograd.grad(rest, logs)
            by_estimate = estimate.gradient.detach().chunk(2, -1)
            model.log_alpha.grad = of_alpha + by_estimate[0]
            model.log_beta.grad = of_beta + by_estimate[1]
            model.log_w.grad = of_w / len(x)
            optimizer.step()
            bar.advance()
            if (step + 1) % every == 0 or step + 1 == settings.steps:
                rows.append(_bounds(model, estimator, step + 1))
    return pd.concat(rows, ignore_index=True), model


def _bounds(model, estimator, step):
    values = model.bound().tolist()
    rows = {"estimator": estimator, "seed": model.seeds, "step": step, "bound": values}
    return pd.DataFrame(rows)


def variances(settings, estimator, model, log=None):
    """An estimator's variance on a model that stands still, while its c is learned; a table.

    Columns: estimator, seed, step (updates of φ), variance, and the variances of its terms: of one
    image's gradient in log α and log β, the sum over them, the mean over images.
    """
    surrogate = model.surrogate(estimator, settings)
    phi = surrogate.learned_parameters() if surrogate else []
    needed = DECOMPOSITIONS[estimator].paths
    parameters = model.parameters.detach()
    images = parameters.shape[1]
    wide = parameters.repeat(1, settings.draws, 1)
    fresh = GAMMA.draw(wide, model.generators("fresh noise"), needed)

    def row(step):
        def f(z):
            return model.cost(z, settings.draws)

        context = model.context(settings.draws)
        if surrogate:
            surrogate.see(wide)
        with torch.no_grad():
            found = path_estimate(estimator, fresh, f, surrogate, context)
        found = in_logarithms(found, wide)
        values = {}
        for name in ("gradient", *TERMS):
            draws = getattr(found, name).unflatten(1, (settings.draws, images))
            moments = sample_moments(draws)
            key = "variance" if name == "gradient" else name
            values[key] = moments.variance.sum(-1).mean(1).tolist()
        return pd.DataFrame({"estimator": estimator, "seed": model.seeds, "step": step, **values})

    rows = [row(0)]
    if not phi:
        return rows[0]
    optimizer = adam([(phi, settings.surrogate_learning_rate)])
    every = max(1, settings.tuning_steps // settings.measurements)
    with Progress(f"variance, {estimator}", settings.tuning_steps, log) as bar:
        for step in range(settings.tuning_steps):
            drawn = GAMMA.draw(parameters, model.generators("tuning", step), needed)
            descend(model, estimator, surrogate, phi, drawn)
            optimizer.step()
            bar.advance()
            if (step + 1) % every == 0 or step + 1 == settings.tuning_steps:
                rows.append(row(step + 1))
    return pd.concat(rows, ignore_index=True)


def train_and_measure(settings, log=None):
    """Tables of `train` and of `variances`, every estimator.

    The variances are all measured where the implicit gradient's training ended: at common
    parameters.

    Raises:
        NonFiniteError: a gradient stopped being finite.
    """
    x = counts(settings.images)
    trained = {name: train(settings, name, x, log) for name in DIFFERENTIABLE}
    common = trained["implicit"][1]
    measured = [variances(settings, name, common, log) for name in DIFFERENTIABLE]
    training = pd.concat([table for table, _ in trained.values()], ignore_index=True)
    return training, pd.concat(measured, ignore_index=True)
