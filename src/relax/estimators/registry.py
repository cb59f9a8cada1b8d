"""The estimators by name. Light to import: torch loads only when an estimator is asked for.

Adding an estimator: one file that defines `ESTIMATOR` (see `relax/estimators/`), one line here,
and its name in the configuration's list. The order of the lines fixes the colours of the figures,
so new lines go to the end.
"""

import importlib
from typing import NamedTuple

from relax.errors import ConfigError
from relax.relaxations import MOST_ENUMERATED


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
    # Sections of the configuration that may name it: rl takes those that evaluate the cost at b
    # alone, and only there is a state to see.
    sections: tuple[str, ...] = ("toy", "vae")
    actions: str | None = None  # in rl: "discrete", "continuous", or None for both


NETWORK = ("hidden", "activation", "squash", "add_relaxed_cost")
EVERYWHERE = ("toy", "vae", "rl")
REGISTRY = {
    "exact": Entry("relax.exact.estimator", "exact gradient", max_latents=MOST_ENUMERATED),
    "reinforce": Entry("relax.estimators.reinforce", "REINFORCE", sections=EVERYWHERE),
    "concrete": Entry(
        "relax.estimators.concrete", "Concrete (biased)", ("temperature",), unbiased=False
    ),
    "rebar": Entry("relax.estimators.rebar", "REBAR", ("temperature", "scale"), learns=True),
    "relax": Entry(
        "relax.estimators.relax",
        "RELAX",
        (*NETWORK, "temperature", "scale"),
        learns=True,
        sections=EVERYWHERE,
        actions="discrete",
    ),
    "nvil": Entry("relax.estimators.nvil", "NVIL", ("hidden", "activation"), learns=True),
    "muprop": Entry("relax.estimators.muprop", "MuProp", ("scale",), learns=True, of_z=False),
    "a2c": Entry(
        "relax.estimators.a2c", "A2C", ("hidden", "activation"), learns=True, sections=("rl",)
    ),
    "lax": Entry(
        "relax.estimators.lax",
        "LAX",
        ("hidden", "activation"),
        learns=True,
        sections=("rl",),
        actions="continuous",
    ),
}


def estimator_names(latents=1, section="vae"):
    """Names of the estimators for this many latents, in the registry's order.

    Args:
        latents: how many latents they must handle.
        section: "toy", "vae" or "rl": where in the configuration they are to be named.
    """
    return [
        name
        for name, entry in REGISTRY.items()
        if section in entry.sections and (entry.max_latents is None or latents <= entry.max_latents)
    ]


def load_estimator(name):
    """The `Estimator` of this name.

    Raises:
        ConfigError: no estimator has this name.
    """
    if name not in REGISTRY:
        raise ConfigError(f"unknown estimator '{name}'; there are: {', '.join(REGISTRY)}")
    return importlib.import_module(REGISTRY[name].module).ESTIMATOR
