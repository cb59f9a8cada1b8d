"""What policies have lived while they trained."""

import numpy as np
import pandas as pd
import torch

from relax.numerics.finite import NEVER


class History:
    """What the seeds have lived: their episodes and frames, and each one's policy at its end."""

    COLUMNS = ("seed", "update", "episode", "frame", "reward", "gradient_variance")

    def __init__(self, settings):
        self.settings = settings
        self.updates, self.rows = 0, []
        self.episodes, self.frames = ([0] * len(settings.seeds) for _ in range(2))
        self.trained = [None] * len(settings.seeds)
        self.diverged = [NEVER] * len(settings.seeds)  # the update at which each did, if any

    def going(self):
        """For each seed whether it has frames left, and its numbers are finite."""
        pairs = zip(self.frames, self.diverged, strict=True)
        return [frames < self.settings.frames and at == NEVER for frames, at in pairs]

    def count(self, ended, variance, policy, diverged):
        """After an update: each seed's ended episodes, and the variance measured before it.

        `diverged`: for each seed the update at which it has, or `NEVER`.
        """
        self.updates += 1
        before, self.diverged = self.going(), diverged
        for row, going in enumerate(before):
            measured = np.nan if variance is None else variance[row].item()
            for episode in ended[row]:
                self.episodes[row] += 1
                self.frames[row] += episode.frames
                numbers = (self.episodes[row], self.frames[row], episode.reward, measured)
                self.rows.append((self.settings.seeds[row], self.updates, *numbers))
                measured = np.nan
            if going and not self.going()[row]:
                parameters = policy.state_dict().items()
                self.trained[row] = {name: p[row].clone() for name, p in parameters}

    def policies(self):
        """Each seed's policy as it was when its frames were used up, stacked: a state_dict."""
        names = self.trained[0]
        return {name: torch.stack([own[name] for own in self.trained]) for name in names}

    def table(self):
        """The table `training` of `train`, without the labels."""
        table = pd.DataFrame(self.rows, columns=self.COLUMNS)
        when = dict(zip(self.settings.seeds, self.diverged, strict=True))
        when = table.seed.map(when)
        table = table.assign(diverged_update=when.where(when != NEVER).astype(float))
        return table.sort_values(["seed", "episode"], ignore_index=True)

    def note(self):
        """What is worth reading in the log."""
        last = {row[0]: row for row in self.rows[-20 * len(self.settings.seeds) :]}
        return f"reward {np.mean([row[4] for row in last.values()]):.1f}"

    def state(self):
        """Everything, as tensors, numbers and containers."""
        return {
            "updates": self.updates,
            "rows": self.rows,
            "episodes": self.episodes,
            "frames": self.frames,
            "trained": self.trained,
            "diverged": self.diverged,
        }

    def load(self, state):
        """Go back to a `state`."""
        vars(self).update(state)
