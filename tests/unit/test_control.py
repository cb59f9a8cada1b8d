"""Policies, episodes and the policy gradient: against definitions, and what users get wrong."""

from contextlib import contextmanager

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from relax.errors import Interrupted
from relax.estimators.registry import load_estimator
from relax.experiments.control import training as control_training
from relax.experiments.control.environments import Lane, Spaces, live
from relax.experiments.control.problem import (
    Policy,
    entropy_gradient,
    policy_gradient,
    returns_to_go,
)
from relax.experiments.control.training import ControlSettings, train
from relax.numerics.replicas import parameter_generators
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import CATEGORICAL
from relax.relaxations.gaussian import GAUSSIAN
from relax.runs.resume import Unfinished, identity
from relax.surrogates.base import SurrogateSpec

CARTPOLE = {
    "task": "cartpole",
    "id": "CartPole-v1",
    "learning_rate": 0.01,
    "surrogate_learning_rate": 0.01,
    "episode_steps": 50,
    "measure_every": 4,
    "fresh_episodes": 3,
}


def settings(estimator="relax", seeds=range(2), frames=300, **changes):
    return ControlSettings(estimator=estimator, seeds=seeds, frames=frames, **CARTPOLE | changes)


class Walk(gymnasium.Env):
    """A state in {0, ..., 3} that the action moves; its reward, and its end, a test can choose."""

    def __init__(self, actions=None, observation=None, steps=4):
        self.observation_space = Box(-np.inf, np.inf, (1,))
        self.action_space = actions or Discrete(2, start=5)
        self.spec = gymnasium.envs.registration.EnvSpec("Walk-v0", max_episode_steps=steps)
        self.given, self.steps, self.taken = observation, steps, []

    def reset(self, seed=None, options=None):
        self.at = 0
        return np.zeros(1), {}

    def step(self, action):
        self.taken.append(action)
        self.at += 1
        seen = np.array([float(self.at)]) if self.given is None else self.given
        return seen, float(self.at), self.at == self.steps, False, {}


def walk_policy(spaces, seeds=(0,)):
    kinds = (spaces.observations, spaces.actions, spaces.kind == "continuous")
    return Policy(*kinds, (3,), "tanh", parameter_generators(seeds))


def frames_of(seeds=(0,), noise="independent", least_frames=10):
    environments = [Walk() for _ in seeds]
    spaces = Spaces(environments[0])
    policy = walk_policy(spaces, seeds)
    lanes = [Lane(made, seed, 0) for made, seed in zip(environments, seeds, strict=True)]
    frames, ended = live(policy, spaces, lanes, noise, 0.5, least_frames)
    return environments, spaces, policy, frames, ended


def test_returns_to_go_by_their_definition():
    """R_t = Σ_k γ^k r_{t+k}."""
    rewards = [1.0, -2.0, 0.5, 3.0]
    expected = [sum(0.9**k * r for k, r in enumerate(rewards[t:])) for t in range(4)]
    np.testing.assert_allclose(returns_to_go(rewards, 0.9), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("relaxation", "distribution"),
    [
        (BERNOULLI, lambda p: torch.distributions.Bernoulli(logits=p)),
        (CATEGORICAL, lambda p: torch.distributions.Categorical(logits=p)),
        (GAUSSIAN, lambda p: torch.distributions.Normal(p[..., :2], p[..., 2:].exp())),
    ],
)
def test_entropies(relaxation, distribution):
    """Against torch's own distributions, for large logits too."""
    logits = torch.linspace(-8, 6, 24, dtype=torch.float64).view(2, 3, 4)
    expected = distribution(logits).entropy()
    if relaxation is not CATEGORICAL:
        expected = expected.sum(-1)
    torch.testing.assert_close(relaxation.entropy(logits), expected)


def test_episodes_fill_a_lane_to_its_frames():
    """Whole episodes of 4 steps until there are 10 frames; each restarts the returns."""
    (environment,), _, policy, frames, ended = frames_of()
    assert [tuple(episode) for episode in ended[0]] == [(10.0, 4)] * 3
    assert frames.weight.tolist() == [[1.0] * 12]
    assert frames.episodes.tolist() == [3.0]
    torch.testing.assert_close(frames.observations[0, :, 0], torch.arange(12.0).double() % 4)
    expected = torch.from_numpy(returns_to_go([1, 2, 3, 4], 0.5).copy()).repeat(3)
    torch.testing.assert_close(frames.returns[0], expected)
    torch.testing.assert_close(frames.logits, policy(frames.observations))
    assert set(environment.taken) == {5, 6}  # both actions, counted from the space's own start


def test_the_estimate_is_of_the_actions_that_were_taken():
    """The estimator draws again, from the same logits and noise, what the environment was given."""
    (environment,), spaces, _, frames, _ = frames_of()
    b = CATEGORICAL.hard_sample(frames.logits, frames.noise.u)
    assert spaces.allowed(b[0]) == environment.taken


def test_an_empty_lane_lives_nothing():
    """No weight, no episodes, and no gradient."""
    environment = Walk()
    spaces = Spaces(environment)
    policy = walk_policy(spaces, (0, 1))
    frames, ended = live(policy, spaces, [Lane(environment, 0, 0), None], "coupled", 0.9)
    assert frames.weight.sum(1).tolist() == [4.0, 0.0]
    assert ended[1] == []
    estimate = policy_gradient(
        load_estimator("reinforce"), *_surrogate("reinforce", spaces, 2), policy, frames
    )
    assert estimate.gradient[0].abs().sum() > 0
    assert estimate.gradient[1].abs().sum() == 0


def _surrogate(name, spaces, seeds):
    spec = SurrogateSpec(
        latents=spaces.actions,
        context=spaces.observations,
        hidden=(3,),
        squash=False,
        relaxation=spaces.relaxation,
    )
    generators = parameter_generators(range(10, 10 + seeds))
    return load_estimator(name).surrogate(spec, generators), spaces.relaxation


@pytest.mark.parametrize("name", ["reinforce", "a2c"])
def test_policy_gradients_by_their_definition(name):
    """-Σ_t (R_t - baseline) ∂ log π(a_t|s_t), of an episode on average, by a tape."""
    _, spaces, policy, frames, _ = frames_of()
    surrogate, relaxation = _surrogate(name, spaces, 1)
    estimate = policy_gradient(load_estimator(name), surrogate, relaxation, policy, frames)
    actions = CATEGORICAL.hard_sample(frames.logits, frames.noise.u).argmax(-1)
    log_probability = torch.distributions.Categorical(logits=policy(frames.observations)).log_prob(
        actions
    )
    baseline = -surrogate(frames.observations, None, frames.observations)
    objective = -(log_probability * (frames.returns - baseline)).sum() / 3
    gradients = torch.autograd.grad(objective, list(policy.parameters()))
    expected = torch.cat([g.flatten() for g in gradients])
    torch.testing.assert_close(estimate.gradient.flatten(), expected)


def test_padding_changes_nothing():
    """A replica's gradient is the same beside one that lives longer."""
    environments = [Walk(steps=4), Walk(steps=4)]
    spaces = Spaces(environments[0])
    policy = walk_policy(spaces, (0, 1))
    environments[1].steps = 3  # the second's episodes end sooner
    lanes = [Lane(made, seed, 0) for seed, made in enumerate(environments)]
    frames, _ = live(policy, spaces, lanes, "independent", 0.9)
    assert frames.weight.sum(1).tolist() == [4.0, 3.0]
    surrogate, relaxation = _surrogate("relax", spaces, 2)
    estimator = load_estimator("relax")
    both = policy_gradient(estimator, surrogate, relaxation, policy, frames).gradient
    short = frames._replace(
        observations=frames.observations[:, :3],
        logits=frames.logits[:, :3],
        noise=type(frames.noise)(*(n[:, :3] for n in frames.noise)),
        returns=frames.returns[:, :3],
        weight=frames.weight[:, :3],
    )
    cut = policy_gradient(estimator, surrogate, relaxation, policy, short).gradient
    torch.testing.assert_close(both[1], cut[1])
    assert not torch.allclose(both[0], cut[0])


def test_the_entropy_gradient():
    """Against finite differences of the mean entropy in one weight."""
    _, _, policy, frames, _ = frames_of()
    gradient = entropy_gradient(CATEGORICAL, policy, frames).flatten()
    weight = next(policy.parameters())

    def entropy(shift):
        with torch.no_grad():
            weight[0, 0, 0] += shift
            value = CATEGORICAL.entropy(policy(frames.observations)).sum() / 3
            weight[0, 0, 0] -= shift
        return value

    slope = (entropy(1e-5) - entropy(-1e-5)) / 2e-5
    torch.testing.assert_close(gradient[0], slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("estimator", ["reinforce", "a2c", "relax"])
def test_a_run_is_repeatable(estimator):
    """The same settings give the same table, to the last bit; another seed gives another."""
    one, shown = train(settings(estimator))
    two, again = train(settings(estimator))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    pd.testing.assert_frame_equal(shown, again, check_exact=True)
    assert one.groupby("seed").reward.sum().nunique() == 2
    assert one.gradient_variance.notna().any()


def test_a_seed_does_not_depend_on_its_company():
    """Three seeds side by side, and one of them alone: the same episodes."""
    together, _ = train(settings(seeds=range(3)))
    alone, _ = train(settings(seeds=range(1, 2)))
    own = together[together.seed == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone, rtol=1e-9)


def test_a_seed_stops_at_its_frames():
    """The first episode that ends at the budget or beyond is the last, however long others live."""
    table, _ = train(settings(seeds=range(3), frames=200))
    assert (table.groupby("seed").frame.max() >= 200).all()
    before = table.groupby("seed").frame.shift(fill_value=0)
    assert (before < 200).all()
    assert (table.frame - before == table.reward).all()  # CartPole pays 1 a step


def test_training_learns_cartpole():
    """A2C doubles the reward in 12,000 frames; with a rate of nearly 0 nothing does (control)."""
    rewards = {}
    for rate, frames in ((0.01, 12_000), (1e-9, 3_000)):
        table, _ = train(settings("a2c", range(2), frames, learning_rate=rate, episode_steps=200))
        rewards[rate] = table[table.frame > 0.75 * frames].reward.mean()
    assert rewards[0.01] > 2 * rewards[1e-9]


class StopAfter:
    """Asks a run to stop after some updates, as a signal does."""

    def __init__(self, updates):
        self.left = updates

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """Stopped twice, and continued from its saved state: the same tables and policies."""
    chosen = settings(frames=600)
    whole, shown = train(chosen, tmp_path / "whole.pt")

    @contextmanager
    def soon():
        yield StopAfter(5)

    run = identity(chosen)
    for _ in range(2):
        monkeypatch.setattr(control_training, "stoppable", soon)
        with pytest.raises(Interrupted), Unfinished(tmp_path / "u", run, 1e9) as unfinished:
            train(chosen, None, None, unfinished)
    monkeypatch.undo()
    with Unfinished(tmp_path / "u", run, 1e9) as unfinished:
        assert unfinished.load()["step"] > 3
        table, again = train(chosen, tmp_path / "parts.pt", None, unfinished)
    pd.testing.assert_frame_equal(whole, table, check_exact=True)
    pd.testing.assert_frame_equal(shown, again, check_exact=True)
    parts = torch.load(tmp_path / "parts.pt", weights_only=True)
    for name, tensor in torch.load(tmp_path / "whole.pt", weights_only=True).items():
        assert torch.equal(tensor, parts[name])
