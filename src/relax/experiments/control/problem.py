"""Reinforcement learning: policies, and the policy gradient by an estimator.

A policy π(a|s) is a network from the observation s to the logits of the action: those of one
categorical variable, or the means of Gaussians beside log standard deviations that do not depend
on s. With the cost f = -R of an action, where R_t = Σ_{k≥t} γ^{k-t} r_k is the discounted reward
from its step on, the policy gradient is the sum over the steps of an episode of one estimate each,

    ĝ = Σ_t { [f_t - c(z~_t, s_t)] ∂ log π(a_t|s_t) + ∂c(z_t, s_t) - ∂c(z~_t, s_t) }

(Grathwohl et al., 2018, section 3.3; Sutton et al., 1999, without the factor γ^t on a step, as is
usual). With c = V(s) it is that of the advantage actor-critic with whole-episode returns, A2C.

Shapes are [replica, frame, ...]. A replica's frames are whole episodes one after another, and
`weight` is zero in the frames that fill it up to the longest replica.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from relax.estimators.variance import sample_moments
from relax.numerics.replicas import StackedMLP
from relax.numerics.streams import Noise
from relax.surrogates.perceptron import ACTIVATIONS


class Policy(nn.Module):
    """π(a|s), a network for each replica: observations [replica, frame, feature] -> logits.

    Args:
        observations: number of features of an observation.
        actions: outcomes of the categorical action, or coordinates of the continuous one.
        continuous: whether the action is Gaussian; its log standard deviations start at 0.
        hidden, activation: the network's hidden layers.
        generators: one a replica.
    """

    def __init__(self, observations, actions, continuous, hidden, activation, generators):
        super().__init__()
        widths = [observations, *hidden, actions]
        self.network = StackedMLP(widths, generators, torch.float64, ACTIVATIONS[activation][0])
        self.log_std = None
        if continuous:
            zeros = torch.zeros(len(generators), 1, actions, dtype=torch.float64)
            self.log_std = nn.Parameter(zeros)

    def forward(self, observations):
        logits = self.network(observations)
        if self.log_std is None:
            return logits
        return torch.cat([logits, self.log_std.expand_as(logits)], -1)


class Frames(NamedTuple):
    """What the replicas lived through; see the shapes at the top of this module."""

    observations: Tensor  # [replica, frame, feature]
    logits: Tensor  # the policy's there, as the actions were drawn: [replica, frame, parameter]
    noise: Noise  # what the actions were drawn with: [replica, frame, action]
    returns: Tensor  # R: [replica, frame]
    weight: Tensor  # 1, or 0 where there is no frame: [replica, frame]
    episodes: Tensor  # how many each replica lived: [replica]


def returns_to_go(rewards, discount):
    """R_t = r_t + γ R_{t+1}, of one episode's rewards."""
    return lfilter([1.0], [1.0, -discount], np.asarray(rewards)[::-1])[::-1]


def _flat_gradient(policy, outputs, cotangent, **options):
    """Of a policy's outputs, the gradient in all of its parameters: [replica, parameter]."""
    gradients = torch.autograd.grad(outputs, list(policy.parameters()), cotangent, **options)
    return torch.cat([g.flatten(1) for g in gradients], 1)


def policy_gradient(estimator, surrogate, relaxation, policy, frames):
    """The `Estimate` of the policy gradient, in the policy's parameters, an episode's on average.

    Its `gradient` is [replica, 1, parameter], and carries a graph to the surrogate's parameters
    where grad mode is on. So the variance that a surrogate descends is that of the very gradient
    which the policy follows; the steps of an episode, which share their rewards, are not taken for
    independent samples.

    Args:
        estimator: `Estimator`.
        surrogate: its surrogate; it sees the observations.
        relaxation: what the actions are.
        policy: `Policy`, at the parameters that the frames were lived with.
        frames: `Frames`.
    """

    def cost(actions):
        return -frames.returns

    estimate = estimator.rule(
        surrogate, cost, frames.logits, frames.noise, frames.observations, relaxation
    )
    by_logit = estimate.gradient * frames.weight.unsqueeze(-1)
    with torch.enable_grad():
        logits = policy(frames.observations)
    gradient = _flat_gradient(policy, logits, by_logit, create_graph=by_logit.requires_grad)
    gradient = gradient / frames.episodes.clamp(min=1).unsqueeze(1)
    return estimate._replace(gradient=gradient.unsqueeze(1))


def entropy_gradient(relaxation, policy, frames):
    """Gradient of an episode's entropy Σ_t H(π(·|s_t)), on average: [replica, parameter]."""
    with torch.enable_grad():
        entropy = relaxation.entropy(policy(frames.observations)) * frames.weight
    gradient = _flat_gradient(policy, entropy.sum(), None)
    return gradient / frames.episodes.clamp(min=1).unsqueeze(1)


def set_gradient(policy, gradient):
    """Give the policy's parameters their parts of a gradient [replica, parameter]."""
    parameters = list(policy.parameters())
    parts = gradient.split([p[0].numel() for p in parameters], 1)
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.reshape(parameter.shape)


def gradient_variance(gradients):
    """Mean over the policy's parameters of the variance over episodes: [replica].

    Args:
        gradients: of single episodes, [replica, episode, parameter].
    """
    return sample_moments(gradients).variance.mean(-1)
