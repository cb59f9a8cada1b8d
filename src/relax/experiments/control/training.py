"""Training policies: an update after every episode, or every batch of them, seeds side by side."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from relax.errors import ConfigError, Interrupted
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY, load_estimator
from relax.experiments.control.environments import Lane, Spaces, live, make
from relax.experiments.control.evaluation import Measurement, show
from relax.experiments.control.history import History
from relax.experiments.control.problem import (
    Policy,
    entropy_gradient,
    policy_gradient,
    set_gradient,
)
from relax.numerics.finite import NEVER, Divergence
from relax.numerics.optimizers import RMSProp, adam
from relax.numerics.replicas import parameter_generators
from relax.runs.checkpoints import save_checkpoint
from relax.runs.jobs import say
from relax.runs.memory import give_back_freed_memory
from relax.runs.progress import Progress
from relax.runs.resume import stoppable
from relax.runs.tables import labelled
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.baselines import ValueFunction

# As in the A2C that the paper builds on: RMSProp forgets at the rate .01, and ε is 1e-5.
OPTIMIZERS = {
    "rmsprop": lambda parameters, rate: RMSProp(parameters, rate, epsilon=1e-5),
    "adam": lambda parameters, rate: adam([(parameters, rate)]),
}
TRIM_EVERY = 100  # updates


@dataclass(frozen=True)
class Hidden:
    """A network's hidden layers."""

    hidden: tuple[int, ...] = (10, 10)
    activation: str = "relu"

    @classmethod
    def of(cls, block):
        """From a block of the configuration."""
        return cls(tuple(block["hidden"]), block["activation"])


@dataclass(frozen=True)
class ControlSettings:
    """Settings of a run, as the configuration names them (`rl.environments:` in config.yaml)."""

    task: str
    id: str
    estimator: str
    learning_rate: float
    surrogate_learning_rate: float
    seeds: range
    frames: int = 250_000
    episode_steps: int | None = None
    batch_frames: int = 1
    discount: float = 0.99
    entropy_weight: float = 0.01
    optimizer: str = "rmsprop"
    noise: str = "independent"
    value_updates: int = 1
    surrogate_updates: int = 1
    measure_every: int = 100
    fresh_episodes: int = 100
    bootstrap: bool = False
    policy: Hidden = Hidden()
    surrogate: Hidden = Hidden()

    @classmethod
    def of(cls, wildcards, environment):
        """From a workflow rule's wildcards and the environment's block of the configuration."""
        kept = {name: value for name, value in environment.items() if name in cls.__annotations__}
        networks = {name: Hidden.of(environment[name]) for name in ("policy", "surrogate")}
        return cls(
            task=wildcards.task,
            estimator=wildcards.estimator,
            learning_rate=float(wildcards.learning_rate),
            surrogate_learning_rate=float(wildcards.surrogate_learning_rate),
            seeds=range(int(wildcards.first), int(wildcards.last) + 1),
            **kept | networks,
        )

    @property
    def labels(self):
        """The columns that say which run the rows of a table are of."""
        names = ("task", "estimator", "learning_rate", "surrogate_learning_rate", "noise")
        return {"environment": self.id} | {name: getattr(self, name) for name in names}


class Trainer:
    """A policy, its surrogate and their optimisers; one `update` after the other.

    Raises:
        ConfigError: the environment cannot be made, or the estimator does not take its actions.
    """

    def __init__(self, settings):
        self.settings, seeds = settings, settings.seeds
        self.environments = [make(settings.id, settings.episode_steps) for _ in seeds]
        self.spaces = spaces = Spaces(self.environments[0])
        takes = REGISTRY[settings.estimator].actions
        if takes not in (None, spaces.kind):
            able = [n for n, entry in REGISTRY.items() if entry.actions in (None, spaces.kind)]
            able = ", ".join(n for n in able if "rl" in REGISTRY[n].sections)
            raise ConfigError(
                f"rl.environments.{settings.task}.estimators: '{settings.estimator}' takes "
                f"{takes} actions, and those of {settings.id} are {spaces.kind}; allowed here: "
                f"{able}"
            )
        generators = parameter_generators(seeds)
        self.policy = Policy(
            spaces.observations,
            spaces.actions,
            spaces.kind == "continuous",
            settings.policy.hidden,
            settings.policy.activation,
            generators,
        )
        spec = SurrogateSpec(
            latents=spaces.actions,
            context=spaces.observations,
            hidden=settings.surrogate.hidden,
            activation=settings.surrogate.activation,
            squash=False,
            relaxation=spaces.relaxation,
        )
        self.estimator = load_estimator(settings.estimator)
        self.surrogate = self.estimator.surrogate(spec, generators)
        self.values = [m for m in self.surrogate.modules() if isinstance(m, ValueFunction)]
        if settings.bootstrap and not self.values:
            raise ConfigError(
                f"rl.environments.{settings.task}.bootstrap: '{settings.estimator}' learns no "
                f"value function that could stand for what a time limit has cut off"
            )
        build, rate = OPTIMIZERS[settings.optimizer], settings.surrogate_learning_rate
        learned = {
            "policy": (list(self.policy.parameters()), settings.learning_rate),
            "surrogate": (self.surrogate.learned_parameters(), rate),
            "value": ([p for value in self.values for p in value.parameters()], rate),
        }
        self.optimizers = {
            name: build(parameters, rate)
            for name, (parameters, rate) in learned.items()
            if parameters
        }
        self.learned = nn.ModuleDict({"policy": self.policy, "surrogate": self.surrogate})
        self.divergence = Divergence(len(seeds))

    def live(self, history):
        """A batch for each seed that has frames left, none for the others; as `live` returns it."""
        settings = self.settings
        each = zip(
            self.environments, settings.seeds, history.episodes, history.going(), strict=True
        )
        lanes = [Lane(made, seed, next_) if going else None for made, seed, next_, going in each]
        return live(
            self.policy,
            self.spaces,
            lanes,
            settings.noise,
            settings.discount,
            settings.batch_frames,
            self.value,
        )

    @property
    def value(self):
        """The expected return from observations, as `live` asks for it; None without bootstrap."""
        return self._value if self.settings.bootstrap else None

    def _value(self, observations):
        seen = torch.from_numpy(observations).view(
            len(self.settings.seeds), -1, len(observations.T)
        )
        with torch.no_grad():  # V predicts the cost, which is minus the return
            return -sum(value.network(seen).squeeze(-1) for value in self.values).flatten()

    def estimate(self, frames):
        """The `Estimate` of the policy gradient."""
        return policy_gradient(
            self.estimator, self.surrogate, self.spaces.relaxation, self.policy, frames
        )

    def update(self, frames, step):
        """Learn from frames that the policy has just lived.

        The policy's gradient is made before its surrogate has seen the frames, so that c does not
        depend on the samples which it corrects.

        A seed whose gradient stops being finite is noted in `divergence`; seeds do not meet.
        """
        settings = self.settings
        estimate = self.estimate(frames)
        gradient = estimate.gradient.detach().squeeze(1)
        self.divergence.now.fill_(step)
        self.divergence.note(gradient)
        if settings.entropy_weight:
            entropy = entropy_gradient(self.spaces.relaxation, self.policy, frames)
            gradient = gradient - settings.entropy_weight * entropy
        for repeat in range(settings.surrogate_updates if "surrogate" in self.optimizers else 0):
            estimate = self.estimate(frames) if repeat else estimate
            learn_surrogates(self.estimator, [self.surrogate], [estimate])
            self.optimizers["surrogate"].step()
        for _ in range(settings.value_updates if self.values else 0):
            costs, seen = -frames.returns, frames.observations
            errors = [value.error(seen, costs, frames.weight).sum() for value in self.values]
            self.optimizers["value"].zero_grad()
            sum(errors).backward()
            self.optimizers["value"].step()
        set_gradient(self.policy, gradient)
        self.optimizers["policy"].step()

    def state(self):
        """Everything that the next update depends on, but for the counts of `History`."""
        optimizers = {name: o.state_dict() for name, o in self.optimizers.items()}
        return {
            "learned": self.learned.state_dict(),
            "optimizers": optimizers,
            "diverged": self.divergence.step,
        }

    def load(self, state):
        """Go back to a `state`."""
        self.learned.load_state_dict(state["learned"])
        self.divergence.step.copy_(state["diverged"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])


def train(settings, policy_path=None, log=None, unfinished=None):
    """Train every seed for its frames; a seed that has used them up waits for the others.

    With `unfinished`, a `relax.runs.resume.Unfinished`, the run saves its state there from time to
    time and continues from what it finds, to the same last bit. The policies are written to
    `policy_path`, each as it was when its frames were used up.

    Returns two tidy tables with the columns environment, task, estimator, learning_rate,
    surrogate_learning_rate, noise, seed, and

    - training, one row an episode: update (whose frames the episode is of), episode, frame (both
      counted at its end), reward (undiscounted), gradient_variance (of the policy gradient, before
      the update, over `fresh_episodes`; empty where it was not measured), diverged_update (in all
      rows of a seed whose gradient stopped being finite: when; it has no rows after that);
    - shown, one row a step of one more episode of each trained policy that did not diverge: step,
      observation_0, ...

    Raises:
        ConfigError: the environment cannot be made, or the estimator does not take its actions.
        NonFiniteError: an environment gave an observation or a reward that is not finite.
        Interrupted: SIGTERM or Ctrl-C came, and the state is saved.
    """
    trainer, history = Trainer(settings), History(settings)
    measure = Measurement(trainer)
    start = 0
    if unfinished and (state := unfinished.load()):
        trainer.load(state["trainer"])
        history.load(state["history"])
        start = min(history.frames)
    title = f"{settings.task} {settings.estimator}"
    signals = stoppable() if unfinished else nullcontext(lambda: False)
    with Progress(title, settings.frames, log, start) as bar, signals as asked_to_stop:
        while any(history.going()):
            step, variance = history.updates, None
            if step % settings.measure_every == 0:
                variance = measure(step // settings.measure_every)
            frames, ended = trainer.live(history)
            trainer.update(frames, step + 1)
            history.count(ended, variance, trainer.policy, trainer.divergence.step.tolist())
            if step % TRIM_EVERY == 0:
                give_back_freed_memory()
            stop = asked_to_stop()  # once: a signal after this is for the next update
            if unfinished and (unfinished.due() or stop):
                states = {"trainer": trainer.state(), "history": history.state()}
                unfinished.save(history.updates, {"step": history.updates, "kept": []} | states)
            if stop:
                raise Interrupted(
                    f"interrupted after update {history.updates}; the same command goes on"
                )
            bar.advance(min(*history.frames, settings.frames) - bar.done, history.note())
    policies = history.policies()
    if policy_path:
        save_checkpoint(policies, policy_path)
    trainer.policy.load_state_dict(policies)
    for seed, update in zip(settings.seeds, history.diverged, strict=True):
        if update != NEVER:
            say(
                f"diverged: {settings.estimator} at learning rates {settings.learning_rate:g}, "
                f"{settings.surrogate_learning_rate:g}, seed {seed}: the gradient stopped being "
                f"finite at update {update}. The other seeds are not affected.",
                log,
            )
    return labelled(history.table(), **settings.labels), labelled(show(trainer), **settings.labels)
