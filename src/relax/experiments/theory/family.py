"""The Concrete family, η f(σ(z/λ)): its least variance over η at any λ, and η as it is learned.

One Bernoulli latent unless said otherwise. Exact means enumeration over b and quadrature over the
noise.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from relax.estimators.formula import Estimator
from relax.exact.optimal import best_scale
from relax.exact.quadrature import exact_moments
from relax.experiments.toy.problem import squared_distance, tune
from relax.runs.tables import labelled
from relax.surrogates.base import ZeroSurrogate
from relax.surrogates.relaxed_cost import RelaxedCost

HOTTEST = 1e6  # the largest temperature of `family`, where σ(z/λ) is ½ to six digits


def logits_of(thetas, latents=1):
    """[replica, 1, latent], the same θ for every latent."""
    theta = torch.as_tensor(np.asarray(thetas), dtype=torch.float64)
    return torch.logit(theta).view(-1, 1, 1).expand(-1, 1, latents)


def relaxed_at(temperatures, spec, latents=1):
    """f(σ(z/λ)) with one λ a replica and η = 1."""
    surrogate = RelaxedCost(replace(spec, scale=1.0, latents=latents), len(temperatures))
    with torch.no_grad():
        log = torch.as_tensor(np.log(temperatures), dtype=torch.float64)
        surrogate.temperature.log_temperature.copy_(log.view(-1, 1, 1))
    return surrogate


def best_of_family(cost, thetas, settings, noise, latents=1, nodes=None):
    """Least variance over η (in closed form) and λ (a grid to `largest_temperature`), a row a θ.

    Columns: theta, variance, scale, temperature.
    """
    temperatures = np.geomspace(0.1, settings.largest_temperature, 61)
    rows = []
    for theta in thetas:
        logits = logits_of([theta] * len(temperatures), latents)
        surrogate = relaxed_at(temperatures, settings.spec, latents)
        found = best_scale(surrogate, cost, logits, noise, nodes)
        best = int(found.variance.argmin())
        rows.append(
            (theta, found.variance[best].item(), found.scale[best].item(), temperatures[best])
        )
    return pd.DataFrame(rows, columns=["theta", "variance", "scale", "temperature"])


def family(settings):
    """The least variance over η against λ, from 0.1 to `HOTTEST`, where it still falls as 1/λ².

    Columns: target, noise, theta, temperature, scale (the best η), variance, reinforce_variance.
    """
    temperatures = np.geomspace(0.1, HOTTEST, 43)
    tables = []
    for target in settings.targets:
        cost = squared_distance(target)
        for theta in settings.thetas:
            logits = logits_of([theta] * len(temperatures))
            surrogate = relaxed_at(temperatures, settings.spec)
            best = best_scale(surrogate, cost, logits, settings.noise)
            plain = exact_moments(Estimator(), ZeroSurrogate(), cost, logits[:1])
            columns = {
                "temperature": temperatures,
                "scale": best.scale.detach(),
                "variance": best.variance.detach(),
                "reinforce_variance": plain.variance.item(),
            }
            table = pd.DataFrame(columns)
            tables.append(labelled(table, target=target, noise=settings.noise, theta=theta))
    return pd.concat(tables, ignore_index=True)


def eta(settings, log=None):
    """REBAR's η at a fixed λ: learned by descending g² against the closed form, along θ.

    Columns: target, noise, theta, seed, temperature, learned_eta (mean over the second half of the
    updates, since single-sample steps leave η in motion), closed_eta; and the exact variances at
    them, learned_variance and closed_variance, at the η that training starts from, start_variance,
    and at η = 0, reinforce_variance.
    """
    tables = []
    rows = [(theta, seed) for theta in settings.theta_grid for seed in settings.seeds]
    of_theta, of_seed = (list(column) for column in zip(*rows, strict=True))
    temperatures = [settings.spec.temperature] * len(rows)
    for target in settings.targets:
        cost, logits = squared_distance(target), logits_of(of_theta)
        surrogate = relaxed_at(temperatures, settings.spec)
        surrogate.temperature.requires_grad_(False)
        closed = best_scale(
            relaxed_at(temperatures, settings.spec), cost, logits, settings.noise
        ).scale.detach()
        start, late = surrogate.scale.detach().flatten().clone(), []

        def remember(step, surrogate=surrogate, late=late):
            if step > settings.steps // 2:
                late.append(surrogate.scale.detach().flatten().clone())

        tune(settings.toy(target, "rebar"), surrogate, logits, of_seed, cost, log, after=remember)
        learned = torch.stack(late).mean(0)

        def variance(scale, surrogate=surrogate, cost=cost, logits=logits):
            with torch.no_grad():
                surrogate.scale.copy_(scale.view(-1, 1))
            moments = exact_moments(Estimator(), surrogate, cost, logits, settings.noise)
            return moments.variance.detach().flatten()

        columns = {
            "theta": of_theta,
            "seed": of_seed,
            "temperature": settings.spec.temperature,
            "learned_eta": learned,
            "closed_eta": closed,
            "learned_variance": variance(learned),
            "closed_variance": variance(closed),
            "start_variance": variance(start),
            "reinforce_variance": variance(torch.zeros_like(start)),
        }
        tables.append(labelled(pd.DataFrame(columns), target=target, noise=settings.noise))
    return pd.concat(tables, ignore_index=True)
