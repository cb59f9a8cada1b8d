"""A categorical toy: minimise E[f(b)] over θ, where b is one choice among k outcomes.

f is a table of k numbers without structure. A relaxed b, on the simplex, gets the linear extension
Σ_i costs_i b_i: the only one that a bare table suggests.
"""

from dataclasses import dataclass, field

import torch

from relax.experiments.toy.problem import RunSettings
from relax.relaxations.categorical import CATEGORICAL
from relax.runs.settings import collect


@dataclass(frozen=True)
class CategoricalSettings(RunSettings):
    """Settings of a run of the categorical toy; `costs` are f's values, one an outcome."""

    costs: tuple[float, ...] = field(kw_only=True)

    @classmethod
    def of(cls, wildcards, params):
        """From a workflow rule's wildcards and params."""
        shape = {"latents": len(params["costs"]), "relaxation": CATEGORICAL}
        return collect(cls, wildcards, params, **shape, dtype=torch.float64)

    @property
    def problem(self):
        return CostTable(self.costs)


class CostTable:
    """The categorical toy as a `problem` (see `relax.experiments.toy.problem.RunSettings`)."""

    relaxation, by_quadrature = CATEGORICAL, ()

    def __init__(self, costs):
        self.costs = torch.tensor(costs, dtype=torch.float64)
        self.latents = len(costs)
        self.title, self.labels = f"categorical k={len(costs)}", {"outcomes": len(costs)}

    def cost(self, b):
        """f(b) = Σ_i costs_i b_i: [replica, batch, outcome] -> [replica, batch]."""
        return (b * self.costs).sum(-1)

    def state(self, logits):
        """The probability of the best outcome (of them all, if several are), and E[f(b)]."""
        theta = torch.softmax(logits, -1)
        best = (theta * (self.costs == self.costs.min())).sum(-1)
        return {"best_probability": best.flatten(), "loss": self.cost(theta).flatten()}

    def exact(self, estimator, surrogate, logits, noise):
        """Nothing: quadrature over the noise of k outcomes is out of reach."""
        return {}
