"""Environments and policies: which run, and how what does not fit is refused."""

import sys

import numpy as np
import pytest
from gymnasium.spaces import Box, MultiBinary
from unit.test_control import (
    Walk,
    settings,
    walk_policy,
)

from relax.errors import ConfigError, NonFiniteError
from relax.experiments.control.environments import Lane, Spaces, live, make
from relax.experiments.control.training import Trainer, train
from relax.relaxations.gaussian import GAUSSIAN


@pytest.mark.parametrize("environment", ["InvertedPendulum-v5", "LunarLander-v3"])
def test_the_other_environments_run(environment):
    """Box2D and MuJoCo, with discrete and with continuous actions, for a batch or two."""
    continuous = environment.startswith("Inverted")
    chosen = settings(
        "lax" if continuous else "relax",
        frames=60,
        id=environment,
        batch_frames=20,
        optimizer="adam",
        fresh_episodes=2,
        value_updates=2,
        surrogate_updates=2,
        entropy_weight=0.0 if continuous else 0.01,
    )
    table, shown = train(chosen)
    assert np.isfinite(table.reward).all()
    assert (table.gradient_variance.dropna() > 0).all()
    assert set(shown.seed) == {0, 1}


def test_an_unknown_environment_is_named():
    """The id, what gymnasium says of it, and what to do."""
    with pytest.raises(ConfigError, match=r"'Cartpole-v9' cannot be made: .*rl\.environments"):
        make("Cartpole-v9")


def test_an_environment_that_is_not_installed_is_named(monkeypatch):
    """gymnasium's own message says what is missing; ours names the environment."""
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"'LunarLander-v3' cannot be made: .*[Bb]ox2[Dd]"):
        make("LunarLander-v3")


@pytest.mark.parametrize("name", ["lax", "relax"])
def test_actions_that_an_estimator_does_not_take_are_named(name):
    """LAX on choices, RELAX on numbers: the key, the estimator, and which are allowed."""
    environment = "CartPole-v1" if name == "lax" else "InvertedPendulum-v5"
    with pytest.raises(ConfigError) as error:
        Trainer(settings(name, id=environment))
    able = "reinforce, a2c, " + {"lax": "relax, a2c", "relax": "lax"}[name]
    message = str(error.value)
    assert f"rl.environments.cartpole.estimators: '{name}' takes" in message
    assert environment in message
    assert set(message.rsplit(": ", 1)[1].split(", ")) == set(able.split(", "))


def test_actions_of_another_kind_are_refused():
    """Neither one choice nor a vector of numbers."""
    with pytest.raises(ConfigError, match=r"Walk-v0: actions must be .* they are MultiBinary\(3\)"):
        Spaces(Walk(MultiBinary(3)))


def test_observations_of_another_kind_are_refused():
    """Images, say."""
    environment = Walk()
    environment.observation_space = Box(0, 1, (2, 2))
    with pytest.raises(ConfigError, match="Walk-v0: observations must be a vector"):
        Spaces(environment)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_observation_that_is_not_finite_stops_the_run(value):
    """At once, with the environment, the seed and the episode."""
    environment = Walk(observation=np.array([value]))
    spaces = Spaces(environment)
    with pytest.raises(NonFiniteError, match=r"Walk-v0 gave an observation .* seed 7, episode 1"):
        live(walk_policy(spaces), spaces, [Lane(environment, 7, 0)], "coupled", 0.9)


def test_continuous_actions_are_clipped_to_what_is_allowed():
    """The environment never sees what it cannot take; the estimate keeps the sample itself."""
    environment = Walk(Box(-0.1, 0.1, (1,)))
    spaces = Spaces(environment)
    policy = walk_policy(spaces)
    frames, _ = live(policy, spaces, [Lane(environment, 0, 0)], "coupled", 0.9)
    taken = np.concatenate(environment.taken)
    assert (np.abs(taken) <= np.float32(0.1)).all()
    assert taken.dtype == np.float32
    assert (GAUSSIAN.hard_sample(frames.logits, frames.noise.u).abs() > 0.1).any()
