"""The policy gradient is unbiased: against every trajectory of a small decision process.

The process has 3 steps; the state is the last action, and the reward depends on it, the action and
the step. All 2^3 trajectories are enumerated with their probabilities, in float64, and the exact
gradient is that of the estimate's own definition, Σ_t E[-R_t ∂ log π(a_t|s_t)].

Each test compares the mean of 40,000 episodes with it, in every parameter of the policy: the sum of
squared z-scores, whitened by the estimate's own covariance, is χ² with as many degrees of freedom
as the covariance has rank. The seeds are fixed, and the false-alarm rate is 1e-4 a test. The
control leaves out the correction of c and must fail.
"""

import itertools

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from scipy import stats

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.registry import load_estimator
from relax.experiments.control.environments import Lane, Spaces, live
from relax.experiments.control.evaluation import repeated
from relax.experiments.control.problem import Frames, Policy, policy_gradient, returns_to_go
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise, uniform_noise
from relax.relaxations.categorical import CATEGORICAL
from relax.relaxations.gaussian import GAUSSIAN
from relax.surrogates.base import SurrogateSpec

STEPS, DISCOUNT, EPISODES = 3, 0.9, 40_000
FALSE_ALARM = 1e-4
REWARDS = np.random.default_rng(0).normal(0, 3, (STEPS, 3, 2))  # step, state, action


class Chain(gymnasium.Env):
    """The process above; the state is 0 at the start, then 1 or 2."""

    observation_space, action_space = Box(-2, 2, (2,)), Discrete(2)
    spec = gymnasium.envs.registration.EnvSpec("Chain-v0", max_episode_steps=STEPS)

    def reset(self, seed=None, options=None):
        self.step_, self.state = 0, 0
        return seen(0, 0), {}

    def step(self, action):
        reward = REWARDS[self.step_, self.state, action]
        self.step_, self.state = self.step_ + 1, action + 1
        return seen(self.step_, self.state), reward, self.step_ == STEPS, False, {}


def seen(step, state):
    return np.array([step - 1.0, [0.3, -1.0, 1.0][state]])


def policy_of():
    return Policy(2, 2, False, (3,), "tanh", parameter_generators([3]))


def exact_gradient(policy):
    """Over all trajectories: their probability times Σ_t -R_t ∂ log π(a_t|s_t)."""
    total = 0.0
    for actions in itertools.product((0, 1), repeat=STEPS):
        states = [0, *(a + 1 for a in actions[:-1])]
        rewards = [REWARDS[t, s, a] for t, (s, a) in enumerate(zip(states, actions, strict=True))]
        returns = torch.from_numpy(returns_to_go(rewards, DISCOUNT).copy())
        observations = torch.from_numpy(np.stack([seen(t, s) for t, s in enumerate(states)]))[None]
        log = torch.log_softmax(policy(observations), -1)[0, range(STEPS), list(actions)]
        objective = -(log * returns).sum() * log.sum().exp().detach()
        gradients = torch.autograd.grad(objective, list(policy.parameters()))
        total = total + torch.cat([g.flatten() for g in gradients])
    return total


def uncorrected(surrogate, cost, logits, noise, context=None, relaxation=None):
    """The control: c(z) is subtracted from the cost, and what it takes away is not given back."""
    logits = logits.detach()
    z, b, *_ = relaxation.draw(logits, noise)
    c, _ = surrogate.value_and_slope(z, cost, context)
    signal = cost(b) - c
    return Estimate(b, cost(b), signal.unsqueeze(-1) * relaxation.score(logits, b), signal)


@pytest.fixture(scope="module", params=["independent", "coupled"])
def frames(request):
    """Of 40,000 episodes by one policy, a lane each."""
    spaces = Spaces(Chain())
    lanes = [Lane(Chain(), 0, episode) for episode in range(EPISODES)]
    return live(policy_of(), spaces, lanes, request.param, DISCOUNT)[0]


def gradients(estimator, frames):
    """Of each episode: [episode, parameter]."""
    spec = SurrogateSpec(latents=2, context=2, hidden=(4,), squash=False, relaxation=CATEGORICAL)
    surrogate = estimator.surrogate(spec, parameter_generators([5]))
    with torch.no_grad():
        for parameter in surrogate.parameters():
            parameter.mul_(4)  # far from 0, so that an error in c would show
        return policy_gradient(
            estimator,
            repeated(surrogate, EPISODES),
            CATEGORICAL,
            repeated(policy_of(), EPISODES),
            frames,
        ).gradient[:, 0]


def p_value(samples, exact):
    """Of the mean of samples [sample, parameter] against the exact one."""
    difference = (samples.mean(0) - exact).numpy()
    values, vectors = np.linalg.eigh(np.cov(samples.numpy().T) / len(samples))
    kept = values > 1e-9 * values.max()
    z = (vectors.T @ difference)[kept] / np.sqrt(values[kept])
    return stats.chi2.sf((z**2).sum(), kept.sum())


@pytest.mark.parametrize("name", ["reinforce", "a2c", "relax"])
def test_the_policy_gradient_is_unbiased(name, frames):
    """For every estimator of discrete actions, with a surrogate that nobody trained.

    The test has power: the same gradients with a tenth of the exact one added are found out.
    """
    samples, exact = gradients(load_estimator(name), frames), exact_gradient(policy_of())
    assert p_value(samples, exact) > FALSE_ALARM
    assert p_value(samples + 0.1 * exact, exact) < FALSE_ALARM


def test_a_control_variate_without_its_correction_is_found(frames):
    """The negative control."""
    broken = Estimator(estimate=uncorrected, surrogate=load_estimator("relax").surrogate)
    assert p_value(gradients(broken, frames), exact_gradient(policy_of())) < FALSE_ALARM


@pytest.mark.parametrize("name", ["reinforce", "a2c", "lax"])
def test_continuous_actions(name):
    """One step, reward -(a - s)² with a ~ N(m, σ²): ∂/∂m of the cost is 2(m - s), ∂/∂log σ 2σ²."""
    policy = Policy(1, 1, True, (3,), "tanh", parameter_generators([3]))
    with torch.no_grad():
        policy.log_std += 0.3
    samples, state = 200_000, 0.7
    estimator = load_estimator(name)
    spec = SurrogateSpec(latents=1, context=1, hidden=(4,), squash=False, relaxation=GAUSSIAN)
    surrogate = estimator.surrogate(spec, parameter_generators([5]))
    observations = torch.full((samples, 1, 1), state, dtype=torch.float64)
    (u,) = uniform_noise([0], "noise", 0, (samples, 1, 1))
    with torch.no_grad():
        logits = policy(observations[:1]).expand(samples, 1, 2).contiguous()
        b = GAUSSIAN.sample(logits, u)
    returns = -(b[..., 0] - state).square()
    one = torch.ones(samples, 1, dtype=torch.float64)
    frames = Frames(observations, logits, Noise(u), returns, one, one[:, 0])
    with torch.no_grad():
        gradient = policy_gradient(
            estimator, repeated(surrogate, samples), GAUSSIAN, repeated(policy, samples), frames
        ).gradient[:, 0]
    mean, log_std = logits[0, 0]
    cost = torch.stack([2 * (mean - state), 2 * (2 * log_std).exp()])
    outputs = policy(observations[:1])
    exact = torch.autograd.grad(outputs, list(policy.parameters()), cost.view(1, 1, 2))
    assert p_value(gradient, torch.cat([g.flatten() for g in exact])) > FALSE_ALARM
