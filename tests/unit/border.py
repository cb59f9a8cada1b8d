"""One small problem, and an estimate of it by any estimator."""

import torch

import relax
from relax import Categorical, Noise, SurrogateSpec, uniform_noise

SEEDS, BATCH, LATENTS = [0, 1], 6, 3
SPEC = SurrogateSpec(latents=LATENTS, hidden=(5,), add_relaxed_cost=True, temperature=0.7)
CATEGORICAL = Categorical()
NAMES = relax.estimator_names(kind="bernoulli")
SAMPLED = [name for name in NAMES if name != "exact"]
KINDS = ("independent", "coupled")


def cost(b):
    """[replica, batch, latent] -> [replica, batch], smooth."""
    w = torch.linspace(-1.5, 1, b.shape[-1], dtype=b.dtype)
    return torch.sin(2 * (b * w).sum(-1)) + (b * b * w.flip(-1)).sum(-1) + 0.5


def estimate(name, cost=cost, logits=None, noise=None, spec=SPEC, kind="coupled"):
    """An estimate, and its surrogate; by default of fixed logits and noise."""
    estimator = relax.load_estimator(name)
    surrogate = estimator.surrogate(spec, relax.parameter_generators(SEEDS))
    logits = default_logits(spec) if logits is None else logits
    if noise is None:
        rows = estimator.samples(spec) * logits.shape[1]
        u, v = uniform_noise(SEEDS, "noise", 0, (2, rows, spec.latents)).unbind(1)
        noise = Noise(u, v if kind == "independent" else None)
    made = estimator.estimate(surrogate, cost, logits, noise, relaxation=spec.relaxation)
    return made, surrogate, estimator


def default_logits(spec=SPEC):
    return 3 * (uniform_noise(SEEDS, "noise", 1, (BATCH, spec.latents)) - 0.5)


def in_phi(made, surrogate, estimator):
    """The gradient of the estimator's objective in φ."""
    parameters = surrogate.learned_parameters()
    return torch.autograd.grad(estimator.objective(made).sum(), parameters) if parameters else ()
