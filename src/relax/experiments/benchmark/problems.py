"""The problems without images: E[f(b)] over the logits of b, each with its exact gradient.

- one latent, f(b) = (b - t)²: the draft's toy at its two targets;
- a choice among k outcomes with a table of costs: the categorical toy;
- many latents, f(b) = (1/D) Σ (b - t)²: the toy of Titsias & Shi, 2022 (D = 200, t = .499).

They are `problem`s of the toy's training (`relax.experiments.toy.problem.RunSettings`) that know
their gradient as well: `gradient(logits)`, [replica, 1, latent].
"""

import torch

from relax.errors import ConfigError
from relax.exact.enumeration import enumerate_gradient
from relax.experiments.toy.categorical import CostTable
from relax.relaxations.bernoulli import BERNOULLI


class MeanSquaredDistance:
    """f(b) = (1/D) Σ_latent (b - t)², of D independent latents; D = 1 is the draft's toy."""

    relaxation, by_quadrature = BERNOULLI, ()

    def __init__(self, target, latents=1):
        self.target, self.latents = target, latents
        many = "" if latents == 1 else f"{latents} latents, "
        self.title, self.labels = f"{many}t = {target:g}", {}

    def cost(self, b):
        """f: [replica, batch, latent] -> [replica, batch]."""
        return (b - self.target).square().mean(-1)

    def gradient(self, logits):
        """dE[f]/dlogits = θ(1-θ) (1-2t) / D, at the batch's first logits."""
        theta = torch.sigmoid(logits)
        return theta * (1 - theta) * (1 - 2 * self.target) / self.latents

    def state(self, logits):
        """E[f] = mean over latents of (1-θ) t² + θ (1-t)²."""
        theta = torch.sigmoid(logits)
        loss = (1 - theta) * self.target**2 + theta * (1 - self.target) ** 2
        return {"loss": loss.mean((1, 2))}

    def exact(self, estimator, surrogate, logits, noise):
        """Nothing."""
        return {}


class Choice(CostTable):
    """The categorical toy, with its gradient by enumeration."""

    def __init__(self, costs):
        super().__init__(costs)
        self.title = f"one choice among {self.latents}"
        self.labels = {}

    def gradient(self, logits):
        """dE[f]/dlogits, by enumeration."""
        return enumerate_gradient(self.cost, logits, self.relaxation)

    def state(self, logits):
        """E[f]."""
        return {"loss": super().state(logits)["loss"]}


def problem_of(name, many_latents, many_target, costs):
    """The problem that a path calls `t0.45`, `categorical` or `many`.

    Raises:
        ConfigError: no such problem.
    """
    if name == "categorical":
        return Choice(costs)
    if name == "many":
        return MeanSquaredDistance(many_target, many_latents)
    try:
        return MeanSquaredDistance(float(name.removeprefix("t")))
    except ValueError:
        raise ConfigError(
            f"no problem is called '{name}': t with a target, categorical or many"
        ) from None
