"""Exact answers for small problems: enumeration over b, and quadrature over the noise."""

import itertools
from functools import cache

import torch

from relax.errors import ConfigError
from relax.relaxations import BERNOULLI
from relax.streams import Noise
from relax.variance import Moments

MAX_LATENTS = 16
OPEN_UNIT = (2.0**-53, 1 - 2.0**-53)  # float64 uniforms whose logit is finite


def _states(logits):
    """Every b with its probability: [replica, batch, latent] and [replica, batch], in turn."""
    latents = logits.shape[-1]
    if latents > MAX_LATENTS:
        raise ConfigError(
            f"exact enumerates 2^latents values: at most {MAX_LATENTS} latents; got {latents}"
        )
    for state in itertools.product((0.0, 1.0), repeat=latents):
        b = torch.tensor(state, dtype=logits.dtype, device=logits.device).expand_as(logits)
        log_probability = torch.nn.functional.logsigmoid((2 * b - 1) * logits).sum(-1)
        yield b, log_probability.exp()


def enumerate_expectation(function, logits):
    """E[function(b)] by enumeration; `function`: [replica, batch, latent] -> [replica, batch]."""
    return sum(probability * function(b) for b, probability in _states(logits))


def enumerate_gradient(cost, logits):
    """d E[f(b)] / d logits = Σ_b p(b) f(b) (b - θ), by enumeration: [replica, batch, latent].

    Raises:
        ConfigError: more than 16 latents.
    """
    logits = logits.detach()
    return sum(
        (probability * cost(b)).unsqueeze(-1) * BERNOULLI.score(logits, b)
        for b, probability in _states(logits)
    ).detach()


@cache
def logistic_nodes(count=257, reach=36.0):
    """Nodes v in (0, 1) and weights for integrals over uniform noise; float64, [count] each.

    With v = σ(t), dv = σ(t) σ(-t) dt and the integrand, a smooth function of z = logit v, decays
    like e^{-|t|}: the trapezoidal rule in t then converges exponentially (Trefethen & Weideman,
    2014), as fast as c is smooth: the error is about exp(-2π² λ / h) for c(z) = f(σ(z/λ)) and a
    step h = 2 reach / (count - 1), so the default is for λ of 0.1 and more. Weights are normalised
    to sum to one.
    """
    t = torch.linspace(-reach, reach, count, dtype=torch.float64)
    weights = torch.sigmoid(t) * torch.sigmoid(-t)
    return torch.sigmoid(t), weights / weights.sum()


def _noise_given(logits, b, v):
    """The u that gives this b, from uniform v: the conditional law of u given b (one latent)."""
    theta = torch.sigmoid(logits)
    return torch.where(b > 0.5, v * theta + (1 - theta), v * (1 - theta))


def one_latent_moments(estimator, surrogate, cost, logits, noise="independent", nodes=257):
    """Mean and variance of an estimator of one Bernoulli latent, by quadrature over its noise.

    Both values of b are enumerated. Given b, u and v are independent, and the formula is a sum
    A_b(v) + C_b(u), so that Var(g|b) = Var(A) + Var(C): two one-dimensional integrals instead of
    a two-dimensional one. The estimator itself is evaluated, as a black box, along the two lines
    (u_i, v_0) and (u_0, v_j) of the (u, v) square.

    Args:
        estimator: `Estimator`.
        surrogate: its module.
        cost: f; must not depend on its batch axis.
        logits: [replica, 1, 1], float64.
        noise: "independent" or "coupled" (then only u is integrated).
        nodes: quadrature nodes a dimension.
    Returns:
        Moments with fields of shape [replica].
    """
    v, weights = logistic_nodes(nodes)
    v = v.clamp(*OPEN_UNIT).view(1, -1, 1).expand(logits.shape[0], -1, -1)
    middle = torch.full_like(v, 0.5)
    wide = logits.detach().expand_as(v)
    probabilities, means, variances = [], [], []
    for value in (0.0, 1.0):
        b = torch.full_like(wide, value)
        probability = torch.sigmoid((2 * value - 1) * logits.detach()).view(-1)

        def gradient(u_given, v_fresh, b=b):
            u = _noise_given(wide, b, u_given).clamp(*OPEN_UNIT)
            pair = Noise(u, v_fresh if noise == "independent" else None)
            return estimator.estimate(surrogate, cost, wide, pair).gradient.squeeze(-1).detach()

        along_u = gradient(v, middle)
        mean_u, var_u = _weighted(along_u, weights)
        mean, variance = mean_u, var_u
        if noise == "independent":
            along_v = gradient(middle, v)
            mean_v, var_v = _weighted(along_v, weights)
            corner = gradient(middle, middle)[:, 0]
            mean, variance = mean_u + mean_v - corner, var_u + var_v
        probabilities.append(probability)
        means.append(mean)
        variances.append(variance)
    (p0, p1), (m0, m1), (v0, v1) = probabilities, means, variances
    # The law of total variance, in the form that does not cancel.
    return Moments(p0 * m0 + p1 * m1, p0 * v0 + p1 * v1 + p0 * p1 * (m1 - m0).square())


def _weighted(values, weights):
    """Mean and variance along the last axis under these weights."""
    mean = values @ weights
    return mean, (values - mean.unsqueeze(-1)).square() @ weights
