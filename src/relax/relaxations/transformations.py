"""Samples as transformations of simpler ones, z = T(ε; ν): the generalised reparameterization.

A transformation knows three *paths* from the parameters ν to an expectation. A path (h, s) is a
slope and a weight for every parameter with, for every smooth function F that grows slowly enough,

    ∂_ν E[F(z)] = E[F'(z) h + F(z) s].

| path | h | s |
| --- | --- | --- |
| score | 0 | ∂_ν log q(z; ν) |
| transformation | ∂T(ε; ν)/∂ν at fixed ε | ∂_ν log q(ε; ν) |
| implicit | -∂_ν Q(z; ν) / q(z; ν), Q the distribution function | 0 |

Source: Ruiz et al., 2016 (arXiv 1610.02287), for the second; Figurnov et al., 2018 (arXiv
1805.08498), for the third. The derivations stand in docs/reparameterization.md.

Shapes: z and ε are [replica, batch, latent]; parameters, slopes and weights [replica, batch, P *
latent], P parameters a latent, those of the first name first. Everything is in the parameters
themselves, not in their logarithms.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from relax.errors import ArgumentError
from relax.numerics import checks
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relax.numerics.signatures import Generators, Pair


PATHS = ("score", "transformation", "implicit")


class Path(NamedTuple):
    """How a parameter reaches an expectation: [replica, batch, P * latent] each."""

    slope: Tensor  # h
    weight: Tensor  # s


class Drawn(NamedTuple):
    """Samples, and at them the paths that an estimator may take."""

    z: Tensor  # [replica, batch, latent]
    paths: dict[str, Path]

    def at(self, index: slice | Tensor) -> Drawn:
        """The same for a part of the batch axis."""
        chosen = {
            name: Path(slope[:, index], weight[:, index])
            for name, (slope, weight) in self.paths.items()
        }
        return Drawn(self.z[:, index], chosen)

    def repeated(self, copies: int) -> Drawn:
        """The same with every replica so many times in a row."""
        paths = {
            name: Path(*(part.repeat_interleave(copies, 0) for part in path))
            for name, path in self.paths.items()
        }
        return Drawn(self.z.repeat_interleave(copies, 0), paths)


class Transformation(ABC):
    """Base of the transformations; the functions below `sample` that are missing are a subclass's.

    Attributes:
        names: of the parameters, in their order.
        above: of those that are bounded below, the bounds.
        resolved: the least that they may be where all mass is to be seen, as by quadrature: below,
            some of it lies nearer to an end of the support than a float64 can be.
        support: the ends of the open interval in which z lies.
    """

    names: tuple[str, ...] = ()
    above: ClassVar[dict[str, float]] = {}
    resolved: ClassVar[dict[str, float]] = {}
    support = (-torch.inf, torch.inf)

    def draw(
        self, parameters: Tensor, generators: Generators, paths: Sequence[str] = PATHS
    ) -> Drawn:
        """Samples with their paths: `Drawn`.

        Args:
            parameters: [replica, batch, P * latent].
            generators: a `numpy.random.Generator` a replica.
            paths: names out of `PATHS`.

        Raises:
            ArgumentError: parameters that are not allowed, or an unknown path.
        """
        parameters = parameters.detach()
        self.check(parameters)
        return self.at(parameters, self.sample(parameters, generators), paths)

    def at(self, parameters: Tensor, z: Tensor, paths: Sequence[str] = PATHS) -> Drawn:
        """These samples with their paths: `Drawn`. Arguments and errors as of `draw`."""
        parameters, z = parameters.detach(), z.detach()
        self.check(parameters, z)
        known = {"score": self.score, "transformation": self.path, "implicit": self.implicit}
        for name in paths:
            checks.named("a path", name, PATHS)
        return Drawn(z, {name: known[name](parameters, z) for name in paths})

    def split(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """A tensor [replica, batch, latent] for each name."""
        return parameters.chunk(len(self.names), -1)

    def check(self, parameters: Tensor, z: Tensor | None = None) -> None:
        """Hold parameters, and samples if there are any, to what the transformation takes.

        Raises:
            ArgumentError: naming the parameter, the first value that is not allowed and its place.
        """
        axes = ("replica", "batch", "parameters * latent")
        checks.tensor("parameters", parameters, axes)
        if not parameters.shape[-1] or parameters.shape[-1] % len(self.names):
            raise ArgumentError(
                f"the parameters of {self} are {' and '.join(self.names)}, as many of each on the "
                f"last axis; got {parameters.shape[-1]} in all"
            )
        for name, values in zip(self.names, self.split(parameters), strict=True):
            _inside(f"the {name} of {self}", values, self.above.get(name, -torch.inf), torch.inf)
        if z is not None:
            shape = (*parameters.shape[:-1], parameters.shape[-1] // len(self.names))
            checks.shaped("z", z, shape, "parameters")
            _inside(f"a sample of {self}", z, *self.support)

    def log_law(self, parameters: Tensor, epsilon: Tensor) -> Pair:
        """log q(ε; ν), -∞ outside of the support, and z = T(ε), inside of it."""
        z = self.forward(parameters, epsilon)
        low, high = self.support
        inside = (z > low) & (z < high)
        z = torch.where(inside, z, self.forward(parameters, torch.zeros_like(epsilon)))
        log = self.log_density(parameters, z) + self.log_stretch(parameters, z)
        return torch.where(inside, log, -torch.inf), z

    def __repr__(self):
        return type(self).__name__

    @abstractmethod
    def sample(self, parameters: Tensor, generators: Generators) -> Tensor:
        """z, [replica, batch, latent]."""

    @abstractmethod
    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        """T: z of ε."""

    @abstractmethod
    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        """T⁻¹: ε of z."""

    @abstractmethod
    def log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        """log q(z; ν), latent by latent."""

    @abstractmethod
    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        """log ∂T/∂ε at z."""

    @abstractmethod
    def score(self, parameters: Tensor, z: Tensor) -> Path:
        """The path of the score function: (0, ∂_ν log q(z; ν))."""

    @abstractmethod
    def path(self, parameters: Tensor, z: Tensor) -> Path:
        """The path of the transformation: (∂T/∂ν at fixed ε, ∂_ν log q(ε; ν))."""

    def implicit(self, parameters: Tensor, z: Tensor) -> Path:
        """The path of the distribution function, (-∂_ν Q/q, 0), by quadrature over ε.

        What the transformation's path lacks: with E(ε) the distribution function of ε,

            h_implicit - h = -∂T/∂ε · ∂_ν E(ε) / q(ε),    ∂_ν E(ε) = ∫ q(ε') s(ε') dε' up to ε.

        The integral runs to the side on which the density falls, as the whole one is zero. Its
        variable is ε ∓ e^{t - e^{-t}}, in which the trapezoidal rule converges exponentially
        (Takahasi & Mori, 1974).
        """
        epsilon = self.inverse(parameters, z).unsqueeze(0)
        downhill = [self.log_law(parameters, epsilon + step)[0] for step in (0.05, -0.05)]
        side = torch.where(downhill[0] < downhill[1], 1.0, -1.0)
        t, weights = _tail(z)
        log_ratio, there = self.log_law(parameters, epsilon + side * t)
        log_ratio = log_ratio - self.log_density(parameters, z) - self.log_stretch(parameters, z)
        inside = weights * torch.exp(torch.where(log_ratio > -80, log_ratio, -torch.inf))
        slope, _ = self.path(parameters, z)
        weight = self.path(parameters.expand(len(t), *parameters.shape), there).weight
        many = [1] * (inside.dim() - 1) + [len(self.names)]
        tail = torch.where(inside.repeat(many) > 0, inside.repeat(many) * weight, 0.0).sum(0)
        stretch = torch.exp(self.log_stretch(parameters, z)) * side.squeeze(0)
        return Path(slope + stretch.repeat(many[1:]) * tail, torch.zeros_like(slope))


def _tail(like):
    """Places e^{t - e^{-t}} and weights of integrals from 0 to infinity, [node, 1, 1, 1] each."""
    t = torch.arange(-4.4, 5.6, 0.05, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)
    places = torch.exp(t - torch.exp(-t))
    return places, 0.05 * places * (1 + torch.exp(-t))


def _inside(name, values, low, high):
    """Raises ArgumentError: one of them is not strictly between the ends."""
    bad = ~((values > low) & (values < high))
    if bad.any():
        place = bad.nonzero()[0].tolist()
        wanted = "finite" if low == -torch.inf else f"greater than {low:g}"
        if high != torch.inf:
            wanted = f"between {low:g} and {high:g}"
        value = values[tuple(place)].item()
        raise ArgumentError(
            f"{name} must be {wanted}; got {value:g} at [replica, batch, latent] = {place}"
        )


def _drawn(generators, shape, draw, dtype):
    """numpy's draws, a replica from its own generator, as a tensor [replica, batch, latent]."""
    rows = [torch.as_tensor(draw(g, row)) for row, g in enumerate(generators)]
    return torch.stack(rows).reshape(shape).to(dtype)


class Normal(Transformation):
    """A normal variable by a standard normal one: z = m + σ ε, whose law holds no parameter.

    Parameters: mean m and deviation σ. s = 0, and the path is the reparameterization trick.
    """

    names, above = ("mean", "deviation"), {"deviation": 0.0}

    def sample(self, parameters: Tensor, generators: Generators) -> Tensor:
        mean, deviation = self.split(parameters)
        shape = mean.shape
        noise = _drawn(generators, shape, lambda g, _: g.standard_normal(shape[1:]), mean.dtype)
        return mean + deviation * noise

    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        mean, deviation = self.split(parameters)
        return mean + deviation * epsilon

    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        mean, deviation = self.split(parameters)
        return (z - mean) / deviation

    def log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        epsilon = Normal.inverse(self, parameters, z)
        deviation = self.split(parameters)[1]
        return -0.5 * (epsilon.square() + math.log(2 * math.pi)) - torch.log(deviation)

    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        return torch.log(self.split(parameters)[1]).expand_as(z)

    def score(self, parameters: Tensor, z: Tensor) -> Path:
        mean, deviation = self.split(parameters)
        epsilon = (z - mean) / deviation
        weight = torch.cat([epsilon / deviation, (epsilon.square() - 1) / deviation], -1)
        return Path(torch.zeros_like(weight), weight)

    def path(self, parameters: Tensor, z: Tensor) -> Path:
        mean, deviation = self.split(parameters)
        slope = torch.cat([torch.ones_like(z), (z - mean) / deviation], -1)
        return Path(slope, torch.zeros_like(slope))

    def implicit(self, parameters: Tensor, z: Tensor) -> Path:
        """The same: with s = 0 nothing is left to put right."""
        return self.path(parameters, z)


class NormalByUniform(Normal):
    """The same variable by its inverse distribution function and a uniform ε: z = m + σ Φ⁻¹(ε)."""

    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        return super().forward(parameters, torch.special.ndtri(epsilon))

    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        return torch.special.ndtr(super().inverse(parameters, z))

    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        """The density of ε is one, so that of z is 1 / (∂T/∂ε)."""
        return -self.log_density(parameters, z)


class ThresholdedLogistic(Transformation):
    """Bernoulli's z by b = H(z) and the uniform v that z~ is drawn from, in one number: ε = b + v.

    Parameter: the logit α. z is logistic with location α. Given b, T is `Bernoulli.sample_given`:
    h is the derivative of z~. The density of ε is p(b|θ) on the interval from b to b + 1, so s is
    the score of b. What stands in `estimators.formula` as one formula is this path's recursion.
    """

    names = ("logit",)

    def sample(self, parameters: Tensor, generators: Generators) -> Tensor:
        shape = parameters.shape
        draws = _drawn(generators, shape, lambda g, _: g.logistic(size=shape[1:]), parameters.dtype)
        return parameters + draws

    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        b = torch.floor(epsilon)
        return BERNOULLI.sample_given(parameters, b, epsilon - b)[0]

    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        sign = torch.where(z > 0, 1.0, -1.0)
        v = -torch.expm1(-z.abs()) / (1 + torch.exp(sign * (parameters - z)))
        return torch.where(z > 0, 1 + v, 1 - v)

    def log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        away = z - parameters
        return torch.nn.functional.logsigmoid(away) + torch.nn.functional.logsigmoid(-away)

    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        """q(ε) / q(z), as for every change of variables."""
        away = torch.where(z > 0, parameters, -parameters)
        return torch.nn.functional.logsigmoid(away) - self.log_density(parameters, z)

    def score(self, parameters: Tensor, z: Tensor) -> Path:
        weight = torch.tanh((z - parameters) / 2)
        return Path(torch.zeros_like(weight), weight)

    def path(self, parameters: Tensor, z: Tensor) -> Path:
        b = BERNOULLI.threshold(z)
        score = BERNOULLI.score(parameters, b)
        return Path(BERNOULLI.coupled_derivative(z, score), score)

    def implicit(self, parameters: Tensor, z: Tensor) -> Path:
        """A logistic variable has a location: z = α + logit u."""
        return Path(torch.ones_like(z), torch.zeros_like(z))
