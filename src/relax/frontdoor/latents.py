"""What the latents are, in the user's terms: the shapes of their parameters, and distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributions

from relax.errors import ArgumentError
from relax.relaxations.bernoulli import BERNOULLI
from relax.relaxations.categorical import Categorical
from relax.relaxations.gaussian import GAUSSIAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributions import Distribution


KINDS = ("bernoulli", "categorical", "gaussian")
DISTRIBUTIONS = {
    distributions.Bernoulli: "bernoulli",
    distributions.OneHotCategorical: "categorical",
    distributions.Categorical: "categorical",
    distributions.Normal: "gaussian",
}


class Latents:
    """Kind and shapes of the latents of one `Expectation`.

    Args:
        latents: how many; for one categorical variable how many outcomes, for several of them
            (variables, outcomes).
        kind: "bernoulli", "categorical" or "gaussian"; by default categorical for a pair, else
            Bernoulli.

    Attributes:
        shape: of one b, behind the leading axes.
        parameters: the shape of its parameters: the same, or twice as long for Gaussians.
        flat, parameter_count: how many numbers each of them has.
        relaxation: the object behind it.

    Raises:
        ArgumentError: a kind that is not there, or numbers that make no sense.
    """

    def __init__(self, latents: int | Sequence[int], kind: str | None = None) -> None:
        self.kind = kind or ("categorical" if isinstance(latents, tuple | list) else "bernoulli")
        if self.kind not in KINDS:
            raise ArgumentError(f"kind: there are {', '.join(KINDS)}; got {kind!r}")
        given = tuple(latents) if isinstance(latents, tuple | list) else (latents,)
        most = 2 if self.kind == "categorical" else 1
        whole = all(hasattr(n, "__index__") and not isinstance(n, bool) and n > 0 for n in given)
        self.shape = tuple(map(int, given)) if whole else given
        if not whole or not 0 < len(self.shape) <= most:
            wanted = {
                "bernoulli": "a whole number of latents",
                "gaussian": "a whole number of latents",
                "categorical": "a number of outcomes, or (variables, outcomes)",
            }[self.kind]
            raise ArgumentError(f"latents: {self.kind} latents take {wanted}; got {latents!r}")
        if self.kind == "categorical" and self.shape[-1] < 2:
            raise ArgumentError(f"latents: a choice needs two outcomes or more; got {latents!r}")
        self.flat = math.prod(self.shape)
        variables = self.shape[0] if len(self.shape) > 1 else 1
        self.relaxation = {
            "bernoulli": BERNOULLI,
            "categorical": Categorical(variables),
            "gaussian": GAUSSIAN,
        }[self.kind]
        self.parameters = (2 * self.shape[0],) if self.kind == "gaussian" else self.shape
        self.parameter_count = math.prod(self.parameters)
        self.argument = self.shape if len(self.shape) > 1 else self.shape[0]

    @property
    def values(self) -> int | None:
        """How many values b has; None for infinitely many."""
        if self.kind == "gaussian":
            return None
        if self.kind == "bernoulli":
            return 2**self.flat
        return self.shape[-1] ** (self.flat // self.shape[-1])

    @property
    def bits(self) -> int:
        """So many Bernoulli latents have as many values as b, or more."""
        return self.flat if self.values is None else (self.values - 1).bit_length()

    @classmethod
    def of(
        cls,
        logits: Tensor | Distribution,
        kind: str | None = None,
        latents: int | Sequence[int] | None = None,
    ) -> Latents:
        """The latents of these parameters or this distribution, as `compare` infers them.

        Where `latents` does not say it, the last axis is that of the latents; of categorical ones
        the last two are variables and outcomes, if there are two.
        """
        kind = kind or _kind_of(logits)
        if latents is not None:
            return cls(latents, kind)
        kind = kind or "bernoulli"
        shape = parameters_of(logits).shape
        if not shape:
            raise ArgumentError(
                "logits must have an axis, that of the latents; got a single number"
            )
        if kind == "categorical":
            return cls(tuple(shape[-2:]), kind)
        return cls(shape[-1] // (2 if kind == "gaussian" else 1), kind)

    def take(self, logits: Tensor | Distribution) -> Tensor:
        """The parameters as a tensor [*batch, *parameters], from a tensor or a distribution.

        Raises:
            ArgumentError: another kind or shape than promised, or numbers that are none.
        """
        kind = _kind_of(logits)
        if kind not in (None, self.kind):
            raise ArgumentError(
                f"the latents are {self.kind}, and the distribution given is "
                f"{type(logits).__name__}; say kind={kind!r} when the Expectation is made"
            )
        tensor = parameters_of(logits)
        if not tensor.is_floating_point():
            raise ArgumentError(f"logits must be floating-point numbers; got {tensor.dtype}")
        if tensor.shape[-len(self.parameters) :] != self.parameters or not tensor.numel():
            raise ArgumentError(
                f"logits must have the shape {self.expected()}; got {list(tensor.shape)}"
            )
        if tensor.detach().isnan().any():
            raise ArgumentError(
                f"logits must be numbers; {int(tensor.isnan().sum())} of {tensor.numel()} are NaN: "
                "look for what made them so, such as a step that was too long"
            )
        return tensor

    def expected(self) -> str:
        """The shape of the parameters, in words."""
        sizes = ", ".join(map(str, self.parameters))
        means = {"gaussian": ": the means, then the logarithms of the standard deviations"}
        return f"[..., {sizes}]{means.get(self.kind, '')}"

    def batch(self, tensor: Tensor) -> torch.Size:
        """The leading axes of the parameters."""
        return tensor.shape[: tensor.dim() - len(self.parameters)]


def _kind_of(logits):
    while isinstance(logits, distributions.Independent):
        logits = logits.base_dist
    return DISTRIBUTIONS.get(type(logits))


def parameters_of(logits: Tensor | Distribution) -> Tensor:
    """The tensor of parameters of a distribution that is known here; a tensor is its own.

    Raises:
        ArgumentError: neither of them.
    """
    while isinstance(logits, distributions.Independent):
        logits = logits.base_dist
    if isinstance(logits, Tensor):
        return logits
    if isinstance(logits, distributions.Normal):
        return torch.cat([logits.loc, logits.scale.log()], -1)
    if type(logits) in DISTRIBUTIONS:
        return logits.logits  # type: ignore[attr-defined]
    names = ", ".join(kind.__name__ for kind in DISTRIBUTIONS)
    raise ArgumentError(
        f"logits must be a tensor, or a distribution of torch.distributions among {names}; got "
        f"{type(logits).__name__}"
    )
