"""What is measured of a policy in training, and shown of it at the end."""

import copy

import pandas as pd
import torch

from relax.experiments.control.environments import Lane, live, make
from relax.experiments.control.problem import gradient_variance, policy_gradient


class Measurement:
    """The variance of the policy gradient over fresh episodes, which training does not see."""

    def __init__(self, trainer):
        self.trainer = trainer
        settings = trainer.settings
        self.each = settings.fresh_episodes
        self.environments = [
            make(settings.id, settings.episode_steps)
            for _ in range(len(settings.seeds) * self.each)
        ]

    def __call__(self, index):
        """The variance, as `gradient_variance` defines it, by episodes of this index: [replica]."""
        trainer, settings, each = self.trainer, self.trainer.settings, self.each
        purposes = ("fresh environment", "fresh noise")
        alive = trainer.divergence.alive.tolist()  # of the others there is nothing to measure
        lanes = [
            Lane(environment, settings.seeds[row // each], index * each + row % each, purposes)
            if alive[row // each]
            else None
            for row, environment in enumerate(self.environments)
        ]
        frames, _ = live(
            trainer.policy,
            trainer.spaces,
            lanes,
            settings.noise,
            settings.discount,
            value=trainer.value,
        )
        with torch.no_grad():
            gradient = policy_gradient(
                trainer.estimator,
                repeated(trainer.surrogate, each),
                trainer.spaces.relaxation,
                repeated(trainer.policy, each),
                frames,
            ).gradient
        return gradient_variance(gradient.view(len(settings.seeds), each, -1))


def repeated(module, times):
    """A copy of a module in which every replica stands `times` times in a row."""
    made = copy.deepcopy(module)
    for parameter in made.parameters():
        parameter.data = parameter.data.repeat_interleave(times, 0)
    return made


def show(trainer):
    """The table `shown` of `train`, of the policies as they stand."""
    settings, alive = trainer.settings, trainer.divergence.alive.tolist()
    if not any(alive):
        names = (f"observation_{index}" for index in range(trainer.spaces.observations))
        return pd.DataFrame(columns=["seed", "step", *names])
    purposes = ("shown environment", "shown noise")
    lanes = [
        Lane(environment, seed, 0, purposes) if own else None
        for environment, seed, own in zip(trainer.environments, settings.seeds, alive, strict=True)
    ]
    frames, _ = live(trainer.policy, trainer.spaces, lanes, settings.noise, settings.discount)
    tables = []
    for row, seed in enumerate(settings.seeds):
        seen = frames.observations[row][frames.weight[row] > 0]
        columns = {f"observation_{index}": column for index, column in enumerate(seen.T)}
        tables.append(pd.DataFrame({"seed": seed, "step": range(len(seen)), **columns}))
    return pd.concat(tables, ignore_index=True)
