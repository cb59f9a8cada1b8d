"""V(s) and c(z, s) beside each other, at policies of CartPole that stand still.

    python docs/policy_baselines.py results/cartpole20

The policies are those of five seeds of a finished run of A2C: as they start, after 10,000 frames
(the run's start is repeated), and from its checkpoint. There V(s) learns by regression, as in A2C,
and by the variance of the policy gradient; c(z, s) learns by the variance, as in RELAX. All learn
from the same episodes: first one an update with the run's optimizer and rate, as in training, then
("tuned") ten an update with Adam. Last, c starts as the V(s) tuned by the variance, with weights
of zero for z, and is tuned on.

What comes out is the log-variance of the policy gradient over fresh episodes, the same for all:
mean and standard error over policies, and of differences between those that are tuned. It is
printed, and written into the run's tables, `baselines.csv` and `baseline_differences.csv`.
"""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch

from relax.estimators.formula import Estimator
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import load_estimator
from relax.experiments.control.environments import Lane, live, make
from relax.experiments.control.evaluation import repeated
from relax.experiments.control.problem import gradient_variance, policy_gradient
from relax.experiments.control.training import OPTIMIZERS, ControlSettings, Trainer, train
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import Noise
from relax.runs.checkpoints import load_checkpoint
from relax.runs.tables import write_table
from relax.surrogates.base import Surrogate, SurrogateSpec
from relax.surrogates.baselines import ValueFunction

POLICIES, EARLY = 5, 10_000
EPISODES = 400  # of a policy, to learn from, and as many to measure with
ONLINE, TUNED = (100, 300, 1000), "tuned"  # updates
TUNING = ((500, 0.01), (500, 0.003), (500, 0.001))  # updates, and their rate


class VarianceValue(ValueFunction):
    """V(s) that descends the variance, through the estimator."""

    def forward(self, z, cost=None, context=None):
        return self.network(context).squeeze(-1)

    learned_parameters = Surrogate.learned_parameters


NONE, FROM_V = "none (REINFORCE)", "c(z, s), tuned on from V(s) by the variance"
REGRESSION, VARIANCE = "V(s), regression (A2C)", "V(s), by the variance"
C = "c(z, s), by the variance (RELAX)"
ESTIMATORS = {
    REGRESSION: load_estimator("a2c"),
    VARIANCE: Estimator(surrogate=VarianceValue),
    C: load_estimator("relax"),
}
# Of those that are tuned: each less another.
DIFFERENCES = ((VARIANCE, REGRESSION), (C, REGRESSION), (C, VARIANCE), (FROM_V, VARIANCE))


class Baselines:
    """A trainer's policies, standing still, and the baselines that learn there."""

    def __init__(self, trainer):
        self.trainer, self.settings, spaces = trainer, trainer.settings, trainer.spaces
        self.frames, _ = self.live(range(EPISODES))
        self.fresh, self.reward = self.live(range(EPISODES, 2 * EPISODES))
        self.spec = SurrogateSpec(
            latents=spaces.actions,
            context=spaces.observations,
            hidden=self.settings.surrogate.hidden,
            activation=self.settings.surrogate.activation,
            squash=False,
            relaxation=spaces.relaxation,
        )

    def live(self, indices):
        """Frames of the policies' fresh episodes of these indices, and the mean reward."""
        s, purposes = self.settings, ("fresh environment", "fresh noise")
        lanes = [
            Lane(make(s.id, s.episode_steps), seed, index, purposes)
            for seed in s.seeds
            for index in indices
        ]
        trainer = self.trainer
        frames, ended = live(trainer.policy, trainer.spaces, lanes, s.noise, s.discount)
        return frames, sum(own[0].reward for own in ended) / len(ended)

    def estimate(self, estimator, surrogate, frames):
        """Of the policy gradient, one an episode, each with a surrogate of its own."""
        policy = repeated(self.trainer.policy, len(frames.episodes) // POLICIES)
        relaxation = self.trainer.spaces.relaxation
        return policy_gradient(estimator, surrogate, relaxation, policy, frames)

    def log_variance(self, estimator, surrogate):
        """Over the fresh episodes: [policy]."""
        with torch.no_grad():
            estimate = self.estimate(estimator, repeated(surrogate, EPISODES), self.fresh)
        return gradient_variance(estimate.gradient.view(POLICIES, EPISODES, -1)).log()

    def learn(self, estimator, surrogate, optimizer, updates, batch, generator):
        """Updates of this many episodes a policy: each has a copy, whose gradients are averaged."""
        first = torch.arange(POLICIES).unsqueeze(1) * EPISODES
        for _ in range(updates):
            rows = first + torch.randint(EPISODES, (POLICIES, batch), generator=generator)
            seen, copy = pick(self.frames, rows.flatten()), repeated(surrogate, batch)
            if copy.learned_parameters():
                learn_surrogates(estimator, [copy], [self.estimate(estimator, copy, seen)])
            else:
                copy.error(seen.observations, -seen.returns, seen.weight).sum().backward()
            for own, each in zip(surrogate.parameters(), copy.parameters(), strict=True):
                own.grad = each.grad.unflatten(0, (POLICIES, batch)).mean(1)
            optimizer.step()

    def online(self, estimator, surrogate, generator):
        """Updates of one episode; {number of them: log-variance} at each of ONLINE."""
        s, found = self.settings, {}
        optimizer = OPTIMIZERS[s.optimizer](surrogate.parameters(), s.surrogate_learning_rate)
        for before, each in pairwise((0, *ONLINE)):
            self.learn(estimator, surrogate, optimizer, each - before, 1, generator)
            found[each] = self.log_variance(estimator, surrogate)
        return found

    def tune(self, estimator, surrogate, generator, steps=TUNING):
        """The log-variance once tuned."""
        for updates, rate in steps:
            adam = OPTIMIZERS["adam"](surrogate.parameters(), rate)
            self.learn(estimator, surrogate, adam, updates, 10, generator)
        return self.log_variance(estimator, surrogate)

    def compare(self):
        """{(baseline, updates): log-variance, [policy]}; "tuned" for the number of updates."""
        reinforce = load_estimator("reinforce")
        found = {(NONE, 0): self.log_variance(reinforce, reinforce.surrogate(self.spec, []))}
        surrogates = {}
        for name, estimator in ESTIMATORS.items():
            generator = torch.Generator().manual_seed(0)  # the same batches for each
            surrogate = estimator.surrogate(self.spec, parameter_generators(self.settings.seeds))
            for updates, value in self.online(estimator, surrogate, generator).items():
                found[name, updates] = value
            found[name, TUNED] = self.tune(estimator, surrogate, generator)
            surrogates[name] = surrogate
        for to, of in zip(surrogate.layers, surrogates[VARIANCE].network.layers, strict=True):
            to.weight.data.zero_()[:, : of.weight.shape[1]] = of.weight.data  # first s, then z
            to.bias.data.copy_(of.bias.data)
        found[FROM_V, TUNED] = self.tune(estimator, surrogate, generator, TUNING[1:])
        return found


def pick(frames, rows):
    """These rows of the frames."""
    noise = Noise(*(each[rows] for each in frames.noise))
    return frames._make(noise if each is frames.noise else each[rows] for each in frames)


def mean_and_error(value):
    """Over policies, as columns."""
    error = value.std() / len(value) ** 0.5
    return {"log_variance": value.mean().item(), "log_variance_se": error.item()}


def tables(policies, baselines):
    """The rows of both tables, of the policies that go by this name."""
    found, who = baselines.compare(), {"policies": policies, "mean_reward": baselines.reward}
    rows = [
        {**who, "baseline": name, "updates": updates, **mean_and_error(value)}
        for (name, updates), value in found.items()
    ]
    differences = [
        {"policies": policies, "baseline": one, "less": other}
        | mean_and_error(found[one, TUNED] - found[other, TUNED])
        for one, other in DIFFERENCES
    ]
    print(pd.DataFrame(rows).round(2).to_string(), flush=True)
    return rows, differences


def main(results):
    torch.set_num_threads(1)
    (run,) = (Path(results) / "rl" / "cartpole" / "a2c").glob("lr*/c*/seeds0-*")
    settings = ControlSettings(
        task="cartpole",
        id="CartPole-v1",
        estimator="a2c",
        learning_rate=float(run.parts[-3].removeprefix("lr")),
        surrogate_learning_rate=float(run.parts[-2].removeprefix("c")),
        seeds=range(POLICIES),
        episode_steps=200,
    )
    trainer = Trainer(settings)
    made = [tables("untrained", Baselines(trainer))]
    with TemporaryDirectory() as folder:
        early = Path(folder) / "policy.pt"
        train(replace(settings, frames=EARLY), early)
        trainer.policy.load_state_dict(load_checkpoint(early))
    made.append(tables(f"after {EARLY:,} frames", Baselines(trainer)))
    trained = load_checkpoint(run / "policy.pt").items()
    trainer.policy.load_state_dict({name: value[:POLICIES] for name, value in trained})
    made.append(tables("at the end", Baselines(trainer)))
    for name, parts in zip(("baselines", "baseline_differences"), zip(*made), strict=True):
        table = pd.DataFrame([row for part in parts for row in part])
        write_table(table, Path(results) / "tables" / f"{name}.csv")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main(sys.argv[1])
