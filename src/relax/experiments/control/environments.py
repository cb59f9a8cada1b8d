"""Environments of gymnasium, several side by side, and the episodes lived in them."""

import os
import sys
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from relax.errors import ConfigError, NonFiniteError
from relax.experiments.control.problem import Frames, returns_to_go
from relax.numerics.streams import Noise, generator, uniform_noise
from relax.relaxations.categorical import CATEGORICAL
from relax.relaxations.gaussian import GAUSSIAN


def make(environment, episode_steps=None):
    """One environment of this gymnasium id; episodes end after `episode_steps` (None: its own).

    Of `module:Name-v0` the module registers the environment; it may be a file of the working
    directory. What the environment gives is `Checked`.

    Raises:
        ConfigError: gymnasium does not know it, or it is not installed; its episodes never end.
    """
    options = {} if episode_steps is None else {"max_episode_steps": episode_steps}
    if ":" in environment and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        made = gymnasium.make(environment, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        reason = str(error).strip().rstrip(".")
        raise ConfigError(
            f"the environment '{environment}' cannot be made: {reason}. Check the id under "
            f"rl.environments, and that the package which brings it is installed"
        ) from None
    if made.spec.max_episode_steps is None:
        raise ConfigError(
            f"the environment '{environment}' sets no end to its episodes: give its block under "
            f"rl.environments a number of episode_steps"
        )
    return checked(made)


def checked(made):
    """The environment with a `Checked` around its innermost part, beneath gymnasium's wrappers.

    They too take what it gives for what gymnasium asks of it.
    """
    if made.unwrapped is made:
        return Checked(made)
    innermost = made
    while innermost.env is not made.unwrapped:
        innermost = innermost.env
    innermost.env = Checked(innermost.env)
    return made


class Checked(gymnasium.Wrapper):
    """An environment that is held to its declaration, at every step.

    Raises:
        ConfigError: from `reset` or `step`: an observation that has not the declared shape, a
            reward that is no number, or answers of the API before gymnasium's.
    """

    def reset(self, *, seed=None, options=None):
        try:
            answer = self.env.reset(seed=seed, options=options)
        except TypeError as error:
            if "seed" in str(error) or "options" in str(error):
                raise self._fault("its reset() takes no seed and options") from None
            raise
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise self._fault("its reset() does not give two values, an observation and a dict")
        return self._observation(answer[0]), answer[1]

    def step(self, action):
        answer = self.env.step(action)
        if not (isinstance(answer, tuple) and len(answer) == 5):
            given = f"{len(answer)} values" if isinstance(answer, tuple) else "no tuple"
            raise self._fault(
                f"its step() gives {given}, not five: observation, reward, terminated, truncated "
                f"and a dict"
            )
        observation, reward, *rest = answer
        try:
            number = float(reward) if np.ndim(reward) == 0 else None
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise self._fault(f"its reward is no number: {reward!r:.60}")
        return self._observation(observation), number, *rest

    def _observation(self, observation):
        space = self.env.observation_space
        if isinstance(space, Box) and np.shape(observation) != space.shape:
            raise self._fault(
                f"its observation has the shape {list(np.shape(observation))}, and it declares "
                f"{list(space.shape)}"
            )
        return observation

    def _fault(self, what):
        spec = self.env.spec
        name = type(self.env).__name__ if spec is None else spec.id
        return ConfigError(f"the environment '{name}' is not what gymnasium asks for: {what}")


class Spaces:
    """What a policy must know of an environment: its observations and its actions.

    Attributes:
        observations: number of features of an observation.
        actions: outcomes of a discrete action, or coordinates of a continuous one.
        kind: "discrete" or "continuous".
        relaxation: `CATEGORICAL` or `GAUSSIAN`.
        episode_steps: the most steps of an episode.

    Raises:
        ConfigError: observations or actions of a kind that no estimator here handles.
    """

    def __init__(self, environment):
        name = environment.spec.id
        seen, space = environment.observation_space, environment.action_space
        if not (isinstance(seen, Box) and len(seen.shape) == 1):
            raise ConfigError(f"{name}: observations must be a vector of numbers; they are {seen}")
        self.name, self.observations = name, seen.shape[0]
        self.episode_steps = environment.spec.max_episode_steps
        if isinstance(space, Discrete):
            self.kind, self.relaxation = "discrete", CATEGORICAL
            self.actions, self._first = int(space.n), int(space.start)
        elif isinstance(space, Box) and len(space.shape) == 1:
            self.kind, self.relaxation = "continuous", GAUSSIAN
            self.actions, self._box = space.shape[0], space
        else:
            raise ConfigError(
                f"{name}: actions must be one choice (Discrete) or a vector of numbers (Box); "
                f"they are {space}"
            )

    def allowed(self, b):
        """What environments are given for samples b [lane, action]: clipped to what is allowed."""
        if self.kind == "discrete":
            return [self._first + choice for choice in b.argmax(-1).tolist()]
        return np.clip(b.numpy(), self._box.low, self._box.high).astype(self._box.dtype)


class Lane(NamedTuple):
    """A run of episodes: an environment, and the streams that it and the noise draw from."""

    environment: gymnasium.Env
    seed: int
    episode: int  # index of its next episode in the streams
    purposes: tuple[str, str] = ("environment", "noise")

    def start(self, noise_shape):
        """Begin an episode: the first observation, and its noise."""
        start = generator(self.seed, self.purposes[0], self.episode)
        observation, _ = self.environment.reset(seed=int(start.integers(2**31)))
        noise = uniform_noise([self.seed], self.purposes[1], self.episode, noise_shape)
        return observation, noise[0].numpy()


class Episode(NamedTuple):
    """An episode that has ended."""

    reward: float  # the undiscounted sum
    frames: int


def live(policy, spaces, lanes, noise, discount, least_frames=1, value=None):
    """Live whole episodes in every lane until it has `least_frames` frames.

    One stacked evaluation of the policy serves a frame of all lanes. A lane's episodes depend on
    nothing but its own streams and its replica's policy (to rounding).

    Args:
        policy: of R replicas; the lanes are theirs in turn, equally many each.
        spaces: the environments' `Spaces`.
        lanes: a `Lane` each, or None for one that is to stay empty.
        noise: "independent" or "coupled".
        discount: γ.
        value: the expected return from observations [lane, feature], as [lane]; or None. With it
            the returns of an episode that its time limit has cut go on with the value of where it
            stood; without it, and where an episode has ended by itself, they end with the episode.

    Returns:
        `Frames`, a row a lane, and for each lane the list of its `Episode`s.

    Raises:
        NonFiniteError: an environment gave an observation or a reward that is not finite.
    """
    lanes, rows = list(lanes), range(len(lanes))
    replicas = next(policy.parameters()).shape[0]
    stacked = (replicas, len(lanes) // replicas, -1)
    draws, steps = 2 if noise == "independent" else 1, spaces.episode_steps
    capacity = least_frames - 1 + steps
    uniform = np.full((draws, len(lanes), capacity, spaces.actions), 0.5)
    now = np.zeros((len(lanes), spaces.observations))
    rewards, returns, ended = ([[] for _ in rows] for _ in range(3))
    observations, logits = [], []

    def start(row, at):
        lane = lanes[row]
        now[row], uniform[:, row, at : at + steps] = lane.start((draws, steps, spaces.actions))
        lanes[row] = lane._replace(episode=lane.episode + 1)
        rewards[row] = []

    def end(row, cut):
        total = sum(rewards[row])
        if not np.isfinite(total):
            raise _not_finite(spaces, "a reward", lanes[row])
        ended[row].append(Episode(float(total), len(rewards[row])))
        after = [float(value(now)[row])] if value and cut else []
        own = returns_to_go([*rewards[row], *after], discount)
        returns[row].extend(own[: len(rewards[row])])

    active = [row for row in rows if lanes[row] is not None]
    for row in active:
        start(row, 0)
    while active:
        at = len(observations)
        if not np.isfinite(now).all():
            broken = np.flatnonzero(~np.isfinite(now).all(1))[0]
            raise _not_finite(spaces, "an observation", lanes[broken])
        observations.append(now.copy())
        with torch.no_grad():
            logits.append(policy(torch.from_numpy(now).view(stacked)))
            u = torch.from_numpy(uniform[0, :, at]).view(stacked)
            actions = spaces.allowed(spaces.relaxation.hard_sample(logits[-1], u).flatten(0, 1))
        going = []
        for row in active:
            now[row], reward, stopped, cut, _ = lanes[row].environment.step(actions[row])
            rewards[row].append(reward)
            if stopped or cut:
                end(row, cut and not stopped)
                if at + 1 >= least_frames:
                    continue
                start(row, at + 1)
            going.append(row)
        active = going
    padded = np.zeros((2, len(lanes), len(observations)))
    for row, own in enumerate(returns):
        padded[0, row, : len(own)], padded[1, row, : len(own)] = own, 1.0
    frames = Frames(
        torch.from_numpy(np.stack(observations, 1)),
        torch.stack([step.flatten(0, 1) for step in logits], 1),
        Noise(*torch.from_numpy(uniform[:, :, : len(observations)])),
        *torch.from_numpy(padded),
        torch.tensor([float(len(own)) for own in ended], dtype=torch.float64),
    )
    return frames, ended


def _not_finite(spaces, what, lane):
    return NonFiniteError(
        f"{spaces.name} gave {what} that is not finite: seed {lane.seed}, episode {lane.episode}. "
        f"The environment is at fault, or actions that it cannot bear"
    )
