"""Which estimators can run on given latents and costs, and the sentence where one cannot."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relax.errors import ArgumentError
from relax.estimators.registry import REGISTRY, misfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relax.estimators.registry import Entry
    from relax.frontdoor.latents import Latents


# Suggested in this order, where they can run.
SUGGESTED = ("relax", "disarm", "rloo", "nvil", "reinforce", "lax", "a2c")
NOT_DIFFERENTIABLE = (
    "does not require grad",
    "not have been used in the graph",
    "numpy() on Tensor that requires grad",
    "cannot be differentiated in b",
)
# What torch says of a function whose slope it cannot differentiate once more.
NOT_TWICE = ("is not implemented", "once_differentiable", "double backward")


@dataclass(frozen=True)
class Circumstances:
    """An estimator, and what it is asked to do.

    Attributes:
        name: of the registry.
        latents: `Latents`.
        samples: K, or None for as many as it takes.
        add_relaxed_cost: whether RELAX's surrogate evaluates f as well.
    """

    name: str
    latents: Latents
    samples: int | None = None
    add_relaxed_cost: bool = False

    @property
    def entry(self) -> Entry:
        """The estimator's line of the registry."""
        return REGISTRY[self.name]

    @property
    def several(self) -> int:
        """How many samples it draws for each b."""
        return self.samples or max(2, self.entry.samples[0]) if "samples" in self.entry.reads else 1

    @property
    def of_cost(self) -> bool:
        """Whether its c contains f at a relaxed b, whose slope φ then learns from."""
        entry = self.entry
        return entry.evaluates_relaxed(self.add_relaxed_cost) and entry.learns and entry.of_z

    def misfit(self, name: str | None = None, differentiable: bool = True) -> str | None:
        """Why an estimator, by default this one, cannot do it, in words; or None."""
        latents, name = self.latents, name or self.name
        return misfit(name, latents.bits, latents.kind, self.samples, differentiable)

    def others(self, differentiable: bool = True) -> str:
        """Two estimators that would do, in words."""
        names = [n for n in SUGGESTED if n in REGISTRY and n != self.name]
        names = [n for n in names if self.misfit(n, differentiable) is None]
        return " or ".join(f"'{n}'" for n in names[:2])

    def check(self) -> None:
        """Raise where the estimator cannot run on these latents, or with so many samples.

        Raises:
            ArgumentError: naming the estimator, what it needs, and two that would do.
        """
        if why := self.misfit():
            raise ArgumentError(f"'{self.name}' {why}; {self.others()} would do")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """In the block, complaints about a cost that is not differentiable become a sentence.

        Raises:
            ArgumentError: naming the estimator, what it needs, and two that would do.
        """
        try:
            yield
        except (RuntimeError, ArgumentError) as error:
            text = str(error)
            if "Inference tensors cannot be saved" in text:
                raise ArgumentError(
                    f"'{self.name}' needs the gradient of the cost in b, which cannot be had "
                    "through tensors made under torch.inference_mode(): make them outside, or use "
                    "torch.no_grad()"
                ) from error
            if self.of_cost and any(words in text for words in NOT_TWICE):
                raise ArgumentError(
                    f"'{self.name}' needs second derivatives of the cost in b, and torch has none "
                    f"for this one ({' '.join(text.split())}); "
                    f"{self.others(differentiable=False)} would do"
                ) from error
            asked = self.entry.needs_gradient(self.add_relaxed_cost)
            if not asked or not any(words in text for words in NOT_DIFFERENTIABLE):
                raise
            between = ", also between 0 and 1," if self.entry.relaxed else ""
            raise ArgumentError(
                f"'{self.name}' needs a cost that is differentiable in b{between} and this one is "
                f"not; {self.others(differentiable=False)} would do"
            ) from error
