"""Environments of a user's own: found beside the run, held to what they declare, cut by a limit."""

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from workflow.project import ROOT, changed

from relax.errors import ConfigError
from relax.estimators.registry import estimator_names
from relax.experiments.control.environments import Lane, Spaces, live, make
from relax.experiments.control.problem import Policy, returns_to_go
from relax.experiments.control.training import ControlSettings, Trainer, train
from relax.numerics.replicas import parameter_generators
from relax.runs.config import check_config, settle
from relax.runs.environments import VALUED

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


class Steps(gymnasium.Env):
    """A state that counts the steps, which never ends by itself; a reward of 1 a step."""

    observation_space = Box(-np.inf, np.inf, (1,))
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.at = 0.0
        return np.array([self.at]), {}

    def step(self, action):
        self.at += 1.0
        return np.array([self.at]), 1.0, False, False, {}


def registered(name, kind):
    """The id of an environment of this class."""
    gymnasium.registry.pop(name, None)
    gymnasium.register(name, entry_point=kind, max_episode_steps=3)
    return name


class ScalarObservation(Steps):
    """Would be broadcast."""

    def step(self, action):
        return 0.5, *super().step(action)[1:]


class WideObservation(Steps):
    def reset(self, *, seed=None, options=None):
        return np.zeros(2), {}


class ArrayReward(Steps):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, np.array([1.0, 2.0]), *rest


class WordReward(Steps):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, "much", *rest


class OldStep(Steps):
    def step(self, action):
        return super().step(action)[:4]


class OldReset(Steps):
    def reset(self, *, seed=None, options=None):
        return super().reset()[0]


class NoSeed(Steps):
    def reset(self):
        return super().reset()


FAULTS = {
    ScalarObservation: r"its observation has the shape \[\], and it declares \[1\]",
    WideObservation: r"its observation has the shape \[2\], and it declares \[1\]",
    ArrayReward: r"its reward is no number: array\(\[1\., 2\.\]\)",
    WordReward: "its reward is no number: 'much'",
    OldStep: "its step\\(\\) gives 4 values, not five: observation, reward, terminated, truncated",
    OldReset: r"its reset\(\) does not give two values",
    NoSeed: r"its reset\(\) takes no seed and options",
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_an_environment_that_breaks_its_word_is_named(kind):
    """One sentence: which environment, and what is wrong with it; nothing is trained on it."""
    name = registered(f"{kind.__name__}-v0", kind)
    environment = make(name)
    with pytest.raises(ConfigError, match=f"the environment '{name}' is not .*: {FAULTS[kind]}"):
        lived(environment)


def lived(environment, **options):
    spaces = Spaces(environment)
    policy = Policy(1, 2, False, (3,), "tanh", parameter_generators([0]))
    return live(policy, spaces, [Lane(environment, 0, 0)], "coupled", 0.5, **options)


def test_a_good_environment_passes(tmp_path, monkeypatch):
    """The control; a reward may be numpy's, and of dimension 0."""

    class Numpy(Steps):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, np.float32(1.0), *rest

    frames, ended = lived(make(registered("Numpy-v0", Numpy)))
    assert frames.observations.flatten().tolist() == [0.0, 1.0, 2.0]
    assert ended[0][0].reward == 3.0


@pytest.mark.parametrize("value", [None, 8.0])
def test_an_episode_that_its_limit_cuts(value):
    """Its last return ends there, or goes on with γ V of where it stood: 8 at the third step."""
    given = None if value is None else lambda now: value * np.ones(len(now))
    frames, _ = lived(make(registered("Cut-v0", Steps)), value=given)
    tail = [] if value is None else [value]
    expected = returns_to_go([1.0, 1.0, 1.0, *tail], 0.5)[:3]
    np.testing.assert_allclose(frames.returns[0], expected.copy())


def test_an_episode_that_ends_by_itself_ends_there():
    """The negative control: a value is no return where there is nothing to come."""

    class Ends(Steps):
        def step(self, action):
            return *super().step(action)[:2], self.at == 2, False, {}

    given = {"value": lambda now: 8.0 * np.ones(len(now))}
    frames, _ = lived(make(registered("Ends-v0", Ends)), **given)
    np.testing.assert_allclose(frames.returns[0], [1.5, 1.0])


def control(estimator, actions=None, **changes):
    kind = type("Acting", (Steps,), {"action_space": actions or Discrete(2)})
    return ControlSettings(
        task="steps",
        id=registered("Acting-v0", kind),
        estimator=estimator,
        learning_rate=0.01,
        surrogate_learning_rate=0.01,
        seeds=range(2),
        frames=6,
        fresh_episodes=8,
        **changes,
    )


@pytest.mark.parametrize("estimator", VALUED)
def test_the_value_of_a_replica_is_its_own(estimator):
    """What the returns go on with is minus V, which predicts the cost, of the lane's replica."""
    actions = Box(-1.0, 1.0, (1,)) if estimator == "lax" else Discrete(2)
    trainer = Trainer(control(estimator, actions, bootstrap=True))
    seen = np.array([[0.5], [2.0], [1.0], [-1.0]])  # two lanes a replica
    (value,) = trainer.values
    context = torch.from_numpy(seen).view(2, 2, 1)
    expected = -value.network(context).squeeze(-1).flatten()
    torch.testing.assert_close(trainer.value(seen), expected.detach())
    assert Trainer(control(estimator, actions)).value is None


def test_bootstrapping_changes_the_training():
    """Both run, and they differ; what has no value function is refused."""
    plain, _ = train(control("a2c"))
    other, _ = train(control("a2c", bootstrap=True))
    assert plain.reward.tolist() == other.reward.tolist()  # the reward itself is the same
    assert plain.gradient_variance.iloc[0] != other.gradient_variance.iloc[0]
    for name in estimator_names(section="rl"):
        if name not in (*VALUED, "lax"):
            with pytest.raises(ConfigError, match=f"'{name}' learns no value function"):
                Trainer(control(name, bootstrap=True))
    changes = {"rl.environments.cartpole": {"id": "CartPole-v1", "estimators": ["reinforce"]}}
    check_config(changed(DEFAULT, changes), SCHEMA)
    changes["rl.environments.cartpole"]["bootstrap"] = True
    with pytest.raises(ConfigError, match=r"rl\.environments\.cartpole\.bootstrap: 'reinforce'"):
        check_config(changed(DEFAULT, changes), SCHEMA)


BANDIT = """
import gymnasium
from gymnasium.spaces import Box, Discrete
import numpy as np


class Bandit(gymnasium.Env):
    observation_space, action_space = Box(0.0, 1.0, (1,)), Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), float(action), True, False, {}


gymnasium.register("Bandit-v0", entry_point=Bandit, max_episode_steps=1)
"""


def test_a_module_of_the_working_directory_is_found(tmp_path, monkeypatch):
    """`id: "mybandit:Bandit-v0"`: the file beside the run registers it."""
    (tmp_path / "mybandit.py").write_text(BANDIT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/nowhere")  # so that sys.path is put back
    assert make("mybandit:Bandit-v0").spec.id == "Bandit-v0"
    with pytest.raises(ConfigError, match="'nomodule:Bandit-v0' cannot be made: No module named"):
        make("nomodule:Bandit-v0")


def test_an_environment_need_say_no_more_than_its_id():
    """What it leaves out, within its networks too, is as under rl.defaults."""
    mine = {"id": "Acrobot-v1", "policy": {"hidden": [4]}}
    config = changed(DEFAULT, {"rl.environments.mine": mine, "rl.tasks": ["mine"]})
    check_config(config, SCHEMA)
    settle(config)
    block = config["rl"]["environments"]["mine"]
    assert block == DEFAULT["rl"]["defaults"] | {
        "id": "Acrobot-v1",
        "policy": {"hidden": [4], "activation": "relu"},
    }
    del config["rl"]["environments"]["mine"]["id"]
    with pytest.raises(ConfigError, match=r"rl\.environments\.mine\.id: missing"):
        check_config(config, SCHEMA)
    config = changed(DEFAULT, {"rl.defaults.id": "Acrobot-v1"})
    with pytest.raises(ConfigError, match=r"rl\.defaults\.id: is an environment's own"):
        check_config(config, SCHEMA)


def test_the_check_stands_beneath_gymnasiums_own_wrappers():
    """The time limit is still there, and the id."""
    environment = make(registered("Checked-v0", Steps))
    assert environment.spec.max_episode_steps == 3
    assert isinstance(environment.spec, EnvSpec)
    assert environment.spec.id == "Checked-v0"
