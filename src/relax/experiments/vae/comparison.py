"""Gradients themselves, compared halfway through training: how far one is from the true one.

μ is the gradient of one minibatch in the encoder's parameters, averaged over b: what every draw g
of an unbiased estimator scatters around. With r the mean of R draws of a tuned estimator, made with
noise of its own, E[r] = μ and E|r|² = |μ|² + V/R, V the summed variance of one of them. So, without
bias and without ever knowing μ:

    |μ|²            from  |r|² - V/R
    E[g·μ]          from  the mean of g·r over the draws g
    E|g - μ|²       =     E|g|² - 2 E[g·μ] + |μ|²
    |E[g] - μ|²     from  |ḡ|² - v/n - 2 ḡ·r + |μ|²,   ḡ the mean of n draws, v their variance

Each is averaged over minibatches before any is divided by another:

    cosine          E[g·μ] / √(E|g|² |μ|²)       1 for g = μ
    relative error  √(E|g - μ|² / |μ|²)          0 for g = μ
    squared bias    |E[g] - μ|² / |μ|²           0 in the mean for an unbiased g; may be negative

For an unbiased g, cosine = 1 / √(1 + V/|μ|²): it is the variance in units of the signal.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from relax.experiments.vae.frozen import RunningMoments


class Reference(NamedTuple):
    """Of each minibatch: r [replica, parameter], and the estimate of |μ|² [replica]."""

    means: list[Tensor]
    squares: list[Tensor]


def many_sample_gradient(frozen, minibatches, draws):
    """The `Reference` of an unbiased `FrozenRun`, on noise that `variance` does not use."""
    means, squares = [], []
    for minibatch in range(minibatches):
        x, moments = frozen.fixed_batches(minibatch), RunningMoments()
        for draw in range(draws):
            noise = frozen.reference_noise(minibatch * draws + draw)
            moments.add(frozen.gradient(x, noise)[0])
        means.append(moments.mean)
        squares.append(moments.mean.square().sum(1) - moments.variance.sum(1) / draws)
    return Reference(means, squares)


def compare(frozen, reference, draws):
    """cosine, relative_error, squared_bias: [replica] each, on the noise that `variance` uses."""
    size = true = along = bias = 0.0
    for minibatch, (r, square) in enumerate(zip(*reference, strict=True)):
        x, moments = frozen.fixed_batches(minibatch), RunningMoments()
        for draw in range(draws):
            g, _ = frozen.gradient(x, frozen.fresh_noise(minibatch * draws + draw))
            moments.add(g)
        variance = moments.variance.sum(1)
        own = moments.mean.square().sum(1) - variance / draws  # |E[g]|²
        dot = torch.linalg.vecdot(moments.mean, r)
        size, true, along = size + own + variance, true + square, along + dot
        bias = bias + own - 2 * dot + square
    columns = {
        "cosine": along / (size * true).sqrt(),
        "relative_error": ((size - 2 * along + true) / true).sqrt(),
        "squared_bias": bias / true,
    }
    return {name: value.cpu() for name, value in columns.items()}
