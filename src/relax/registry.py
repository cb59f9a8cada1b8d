"""The estimators by name. Light to import: torch loads only when an estimator is asked for.

Adding an estimator: one file that defines `ESTIMATOR` (see `relax/estimators/`), one line here,
and its name in the configuration's list. The order of the lines fixes the colours of the figures,
so new lines go to the end.
"""

import importlib
from typing import NamedTuple

from relax.errors import ConfigError


class Entry(NamedTuple):
    """Where an estimator lives, how figures and tables call it, and what it reads."""

    module: str
    label: str
    # Keys of the configuration's `surrogate:` block that the estimator reads: a change of any
    # other key does not rerun it.
    reads: tuple[str, ...] = ()
    learns: bool = False  # whether its surrogate has parameters φ
    unbiased: bool = True  # whether its mean is the true gradient; the tests hold it to its word
    of_z: bool = True  # whether its control variate is a function of z alone, to be drawn over u
    max_latents: int | None = None  # the most latents it can handle; None: any number


NETWORK = ("hidden", "activation", "squash", "add_relaxed_cost")
REGISTRY = {
    "exact": Entry("relax.estimators.exact", "exact gradient", max_latents=16),
    "reinforce": Entry("relax.estimators.reinforce", "REINFORCE"),
    "concrete": Entry(
        "relax.estimators.concrete", "Concrete (biased)", ("temperature",), unbiased=False
    ),
    "rebar": Entry("relax.estimators.rebar", "REBAR", ("temperature", "scale"), learns=True),
    "relax": Entry(
        "relax.estimators.relax", "RELAX", (*NETWORK, "temperature", "scale"), learns=True
    ),
    "nvil": Entry("relax.estimators.nvil", "NVIL", ("hidden", "activation"), learns=True),
    "muprop": Entry("relax.estimators.muprop", "MuProp", ("scale",), learns=True, of_z=False),
}


def estimator_names(latents=1):
    """Names of the estimators that can handle this many latents, in the registry's order."""
    return [
        name
        for name, entry in REGISTRY.items()
        if entry.max_latents is None or latents <= entry.max_latents
    ]


def load_estimator(name):
    """The `Estimator` of this name.

    Raises:
        ConfigError: no estimator has this name.
    """
    if name not in REGISTRY:
        raise ConfigError(f"unknown estimator '{name}'; there are: {', '.join(REGISTRY)}")
    return importlib.import_module(REGISTRY[name].module).ESTIMATOR
