"""The estimators by name. Light to import: torch loads only when an estimator is asked for.

Adding an estimator: one file that defines `ESTIMATOR` (see `relax/estimators/`), one line here,
and its name in the configuration's list. The order of the lines fixes the colours of the figures,
so new lines go to the end.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from relax.errors import ConfigError
from relax.relaxations import MOST_ENUMERATED

if TYPE_CHECKING:
    from typing import Any

    from relax.estimators.formula import Estimator


class Calls(NamedTuple):
    """How often one estimate calls the cost, for one image."""

    evaluations: int  # of f
    gradients: int  # of f, along with an evaluation


class Entry(NamedTuple):
    """Where an estimator lives, how figures and tables call it, and what it needs."""

    module: str
    label: str
    # Keys of the configuration's `surrogate:` block that the estimator reads: a change of any
    # other key does not rerun it.
    reads: tuple[str, ...] = ()
    learns: bool = False  # whether its surrogate has parameters φ
    unbiased: bool = True  # whether its mean is the true gradient; the tests hold it to its word
    of_z: bool = True  # whether its control variate is a function of z alone, to be drawn over u
    # The most latents it can handle (of choices, as many bits as their values take); None: any.
    max_latents: int | None = None
    # Sections of the configuration that may name it: rl takes those that evaluate the cost at b
    # alone, and only there is a state to see; bound is the multi-sample objective.
    sections: tuple[str, ...] = ("toy", "vae")
    actions: str | None = None  # in rl: "discrete", "continuous", or None for both
    kinds: tuple[str, ...] = ("bernoulli", "categorical", "ordering", "joint")  # of latents
    # K, the samples of a latent: the least number, and the step from one allowed number to the
    # next; a step of 0 allows no other. Where K is a setting, `reads` has "samples".
    samples: tuple[int, int] = (1, 0)
    # (K, latents) -> how often it evaluates the cost at hard values, and its gradient there.
    evaluations: Callable[[int, int], int] = lambda samples, latents: samples
    gradients: Callable[[int, int], int] = lambda samples, latents: 0
    # Whether it is the one formula with a surrogate of its own (or MuProp's form of it).
    formula: bool = True
    # Whether it evaluates the cost, with its gradient, at relaxed values or at the mean as well;
    # "added": only where the setting add_relaxed_cost says so.
    relaxed: bool | str = False

    def said(self) -> str:
        """What a run may take from this entry, as text: all but its label and its costs."""
        fields = self._asdict().items()
        return str({k: v for k, v in fields if k != "label" and not callable(v)})

    def evaluates_relaxed(self, add_relaxed_cost: bool = False) -> bool:
        """Whether it asks for the cost at relaxed values or at the mean, with this setting."""
        return self.relaxed is True or (self.relaxed == "added" and add_relaxed_cost)

    def needs_gradient(self, add_relaxed_cost: bool = False) -> bool:
        """Whether the cost must be differentiable in b."""
        return bool(self.gradients(2, 2)) or self.evaluates_relaxed(add_relaxed_cost)

    def allows(self, samples: int) -> bool:
        """Whether K may be this number."""
        least, step = self.samples
        return samples == least or bool(step and samples > least and (samples - least) % step == 0)


NETWORK = ("hidden", "activation", "squash", "add_relaxed_cost")
EVERYWHERE = ("toy", "vae", "rl")
SECTIONS = (*EVERYWHERE, "bound")
ANY = ("bernoulli", "categorical", "ordering", "joint", "gaussian")
BITS = ("bernoulli",)
# The mean of an ordering does not give its logits.
OF_A_MEAN = tuple(kind for kind in ANY if kind != "ordering")
# Of several samples: any number from two on, or whole pairs.
SEVERAL: dict[str, Any] = {"reads": ("samples",), "samples": (2, 1), "formula": False}
PAIRS: dict[str, Any] = {"reads": ("samples",), "samples": (2, 2), "formula": False}
STRAIGHT_THROUGH: dict[str, Any] = {
    "unbiased": False,
    "formula": False,
    "kinds": ("bernoulli", "categorical"),
    "gradients": lambda samples, latents: 1,
}
REGISTRY = {
    "exact": Entry(
        "relax.exact.estimator",
        "exact gradient",
        max_latents=MOST_ENUMERATED,
        evaluations=lambda samples, latents: 2**latents + 1,  # and at the b that it returns
    ),
    "reinforce": Entry(
        "relax.estimators.reinforce", "REINFORCE", sections=(*EVERYWHERE, "bound"), kinds=ANY
    ),
    "concrete": Entry(
        "relax.estimators.concrete",
        "Concrete (biased)",
        ("temperature",),
        unbiased=False,
        relaxed=True,
    ),
    "rebar": Entry(
        "relax.estimators.rebar", "REBAR", ("temperature", "scale"), learns=True, relaxed=True
    ),
    "relax": Entry(
        "relax.estimators.relax",
        "RELAX",
        (*NETWORK, "temperature", "scale"),
        learns=True,
        sections=EVERYWHERE,
        actions="discrete",
        kinds=ANY,
        relaxed="added",
    ),
    "nvil": Entry(
        "relax.estimators.nvil",
        "NVIL",
        ("hidden", "activation"),
        learns=True,
        sections=("toy", "vae", "bound"),
        kinds=ANY,
    ),
    "muprop": Entry(
        "relax.estimators.muprop",
        "MuProp",
        ("scale",),
        learns=True,
        of_z=False,
        kinds=OF_A_MEAN,
        relaxed=True,
    ),
    "a2c": Entry(
        "relax.estimators.a2c",
        "A2C",
        ("hidden", "activation"),
        learns=True,
        sections=("rl",),
        kinds=ANY,
    ),
    "lax": Entry(
        "relax.estimators.lax",
        "LAX",
        ("hidden", "activation"),
        learns=True,
        sections=("rl",),
        actions="continuous",
        kinds=("gaussian",),
    ),
    "rloo": Entry("relax.estimators.rloo", "RLOO", kinds=ANY, **SEVERAL),
    "arm": Entry("relax.estimators.arm", "ARM", kinds=BITS, **PAIRS),
    "disarm": Entry("relax.estimators.disarm", "DisARM", kinds=BITS, **PAIRS),
    "arms": Entry("relax.estimators.arms", "ARMS", kinds=BITS, **SEVERAL),
    "double_cv": Entry(
        "relax.estimators.double_cv",
        "Double CV",
        learns=True,
        of_z=False,
        kinds=("bernoulli", "categorical"),
        gradients=lambda samples, latents: samples,
        **SEVERAL,
    ),
    "rodeo": Entry(
        "relax.estimators.rodeo",
        "RODEO",
        learns=True,
        of_z=False,
        kinds=BITS,
        gradients=lambda samples, latents: samples,
        **SEVERAL,
    ),
    "local_expectation": Entry(
        "relax.estimators.local_expectation",
        "local expectation",
        kinds=BITS,
        evaluations=lambda samples, latents: latents + 1,
        formula=False,
    ),
    "bitflip": Entry(
        "relax.estimators.bitflip",
        "bit flip",
        kinds=BITS,
        evaluations=lambda samples, latents: 2,
        formula=False,
    ),
    "vimco": Entry("relax.estimators.vimco", "VIMCO", sections=("bound",), kinds=ANY, **SEVERAL),
    "straight_through": Entry(
        "relax.estimators.straight_through", "straight-through (biased)", **STRAIGHT_THROUGH
    ),
    "st_gumbel": Entry(
        "relax.estimators.st_gumbel", "ST-Gumbel (biased)", ("temperature",), **STRAIGHT_THROUGH
    ),
    "gumbel_rao": Entry(
        "relax.estimators.gumbel_rao",
        "Gumbel-Rao (biased)",
        ("temperature", "draws"),
        **STRAIGHT_THROUGH,
    ),
    "reinmax": Entry("relax.estimators.reinmax", "ReinMax (biased)", **STRAIGHT_THROUGH),
    "disarm_tree": Entry(
        "relax.estimators.disarm_tree",
        "DisARM-Tree",
        sections=("toy",),
        kinds=("categorical",),
        **PAIRS,
    ),
    "disarm_iw": Entry(
        "relax.estimators.disarm_iw",
        "DisARM-IW",
        sections=("bound",),
        kinds=BITS,
        evaluations=lambda samples, latents: 2 * samples,
        **SEVERAL,
    ),
    "muprop_baseline": Entry(
        "relax.estimators.muprop_baseline",
        "MuProp with baseline",
        ("scale", "hidden", "activation"),
        learns=True,
        of_z=False,
        kinds=OF_A_MEAN,
        relaxed=True,
    ),
}


def estimator_names(
    latents: int = 1,
    section: str = "vae",
    kind: str | None = None,
    samples: int | None = None,
    differentiable: bool = True,
) -> list[str]:
    """Names of the estimators that do under these circumstances, in the registry's order.

    Args:
        latents: how many latents they must handle; of choices, how many bits have as many values.
        section: "toy", "vae", "rl" or "bound": where in the configuration they are to be named.
        kind: "bernoulli", "categorical", ...: `kind` of the relaxation; None: any of them.
        samples: K, how many samples of a latent there are; None: as many as each takes.
        differentiable: whether the cost can be differentiated in b.

    Raises:
        ConfigError: no such section, or no such kind.
    """
    for what, value, allowed in (("section", section, SECTIONS), ("kind", kind, (None, *ANY))):
        if value not in allowed:
            known = ", ".join(name for name in allowed if name)
            raise ConfigError(f"{what} must be one of {known}; got {value!r}")
    return [
        name
        for name, entry in REGISTRY.items()
        if section in entry.sections
        and misfit(name, latents, kind, samples, differentiable) is None
    ]


def misfit(
    name: str,
    latents: int = 1,
    kind: str | None = None,
    samples: int | None = None,
    differentiable: bool = True,
) -> str | None:
    """Why this estimator does not do there, in words, or None; arguments as above."""
    entry = REGISTRY[name]
    if entry.max_latents is not None and latents > entry.max_latents:
        return f"takes at most {entry.max_latents} latents"
    if kind is not None and kind not in entry.kinds:
        return f"is for {' and '.join(entry.kinds)} latents, not for {kind} ones"
    if samples is not None and not entry.allows(samples):
        least, step = entry.samples
        wants = {0: f"{least}", 1: f"{least} or more"}.get(step, f"a multiple of {step}")
        return f"takes {wants} samples of a latent, not {samples}"
    if not differentiable and entry.needs_gradient():
        return "needs the gradient of the cost, which has none"
    return None


def calls(
    name: str,
    samples: int = 1,
    latents: int = 1,
    noise: str = "coupled",
    add_relaxed_cost: bool = True,
) -> Calls:
    """How often one estimate calls the cost, as `Calls`; of several samples K are given.

    A relaxed value counts as an evaluation with its gradient; with independent noise there are two
    of them, at z and at z~. (Learning φ asks for second derivatives there besides.)
    """
    entry, relaxed = REGISTRY[name], 0
    samples = samples if entry.samples[1] else entry.samples[0]
    if entry.evaluates_relaxed(add_relaxed_cost):
        relaxed = 2 if noise == "independent" and "scale" in entry.reads and entry.of_z else 1
    evaluations, gradients = entry.evaluations(samples, latents), entry.gradients(samples, latents)
    return Calls(evaluations + relaxed, gradients + relaxed)


def load_estimator(name: str) -> Estimator:
    """The `Estimator` of this name.

    Raises:
        ConfigError: no estimator has this name.
    """
    if name not in REGISTRY:
        raise ConfigError(f"unknown estimator '{name}'; there are: {', '.join(REGISTRY)}")
    return importlib.import_module(REGISTRY[name].module).ESTIMATOR
