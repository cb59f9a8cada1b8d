"""The border of an estimator: what comes in is checked and put in order, and so is what goes out.

A rule (`formula.py`, and the files of the estimators) may count on logits that are finite, noise
strictly inside (0, 1), and three axes. A caller need not: `Estimator.estimate` is the rule inside
this border, `Estimator.rule` the bare one, for loops that look after their numbers themselves.

Whether numbers are in order is looked at on the processor only. On a GPU a look would wait for the
device: there noise and logits are put in order without one, and nothing is refused for its value.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relax.errors import ArgumentError
from relax.numerics import checks
from relax.numerics.streams import EDGES
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from collections.abc import Callable

    from relax.estimators.formula import Estimate
    from relax.numerics.signatures import Cost
    from relax.relaxations.relaxation import Relaxation


AXES = ("replica", "batch", "latent")


def bordered(rule: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """The rule inside its border.

    What it does besides checking:

    - noise is of the latents' shape, [replica, K * batch, latent] for K samples: nothing is
      broadcast, which would make one latent's noise another's;
    - noise of exactly 0 or 1, as `torch.rand` draws it, becomes the number next to it;
    - a logit of ±∞ (a probability of 0 or 1, a masked outcome) is taken for one that no noise
      reaches (`Relaxation.settle`), and its gradient is zero;
    - logits and noise may be [replica, batch, variable, outcome]: the cost then gets b in that
      shape, and sample and gradient come back in it.

    Raises:
        ArgumentError: logits, noise, surrogate or cost are not what the estimator's contract says.
        NonFiniteError: the cost is not finite, or the gradient made of it.
    """

    @functools.wraps(rule)
    def estimate(surrogate, cost, logits, noise, context=None, relaxation=BERNOULLI, **settings):
        if isinstance(logits, Tensor) and logits.dim() == 4:
            rest = (surrogate, context, relaxation, settings)
            return _by_variable(estimate, cost, logits, noise, *rest)
        _check_tensors(logits, noise, context)
        relaxation.check_width(logits.shape[-1])
        if surrogate is not None:
            _check_surrogate(surrogate, logits.dtype, relaxation)
        settled, fixed = _settled(logits.detach(), relaxation)
        _check_noise(noise, relaxation.noise_shape(settled))
        noise = noise._make(_inside(name, u, settled, relaxation) for name, u in _named(noise))
        held = HeldCost(cost)
        result = rule(surrogate, held, settled, noise, context, relaxation, **settings)
        checks.finite_cost(result.cost)
        if result.gradient.shape != logits.shape:
            raise ArgumentError(
                f"the gradient came out as {list(result.gradient.shape)} for logits of shape "
                f"{list(logits.shape)}: make the surrogate for {logits.shape[0]} replicas, and "
                f"noise and context for the logits' batch"
            )
        checks.finite_gradient(result.gradient)
        return result if fixed is None else result.held(fixed)

    return estimate


class HeldCost:
    """A cost, each of whose values is held to what a cost promises; what else it can do, it can."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost

    def __call__(self, b: Tensor) -> Tensor:
        return checks.evaluate_untouched(self.cost, b)

    def __getattr__(self, name):
        return getattr(self.cost, name)


def _named(noise):
    """Pairs of a name and a field of the noise."""
    return zip(noise._fields, noise, strict=True)


def _check_tensors(logits, noise, context):
    checks.tensor("logits", logits, AXES)
    if not hasattr(noise, "_fields"):
        raise ArgumentError(f"noise must be relax.Noise(u, v); got a {type(noise).__name__}")
    if context is not None:
        checks.tensor("context", context, ("replica", "batch", "feature"))
    if any(map(_transformed, (logits, *noise))):
        raise ArgumentError(
            "an estimate cannot be made under torch.func's vmap, grad or jvp: put independent "
            "problems side by side along the replica and batch axes instead"
        )


def _transformed(value):
    """Whether one of torch.func's transformations has wrapped it."""
    return isinstance(value, Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(value)


def _check_surrogate(surrogate, dtype, relaxation):
    """One walk over the modules: parameters of the logits' type, made for these latents."""
    for module in surrogate.modules():
        made_for = getattr(module, "relaxation", relaxation)
        if made_for != relaxation:
            raise ArgumentError(
                f"the surrogate was made for {made_for} and the estimate is for {relaxation}: give "
                f"SurrogateSpec(relaxation=...) and the estimate the same"
            )
        for parameter in module._parameters.values():
            if parameter is not None and parameter.dtype != dtype:
                raise ArgumentError(
                    f"the surrogate's parameters are {parameter.dtype} and the logits {dtype}: "
                    f"make it with SurrogateSpec(dtype={dtype}), or convert the logits"
                )


def _check_noise(noise, shape):
    """Noise for these latents: as many replicas and latents, and rows for whole samples."""
    replicas, batch, latents = shape
    for name, u in _named(noise):
        if u is None:
            continue
        checks.tensor(f"noise.{name}", u, AXES)
        fits = u.shape[0] == replicas and u.shape[2] == latents
        if not fits or u.shape[1] < batch or u.shape[1] % max(batch, 1):
            raise ArgumentError(
                f"noise.{name} must be [{replicas}, {batch}, {latents}], as the latents are, or "
                f"for K samples of them [{replicas}, K * {batch}, {latents}]; got {list(u.shape)}"
            )


def _settled(logits, relaxation):
    """Finite logits, and which of them were not, or None."""
    if logits.is_cpu:
        if checks.is_finite(logits):
            return logits, None
        relaxation.check_logits(logits)
    return relaxation.settle(logits)


def _inside(name, u, logits, relaxation):
    """Noise of a type that the relaxation takes, strictly inside (0, 1)."""
    if not isinstance(u, Tensor):
        return u
    if u.dtype not in (logits.dtype, relaxation.noise_type(logits.dtype)):
        u = u.to(logits.dtype)
    if u.is_cpu and u.numel():
        least, most = (edge.item() for edge in torch.aminmax(u))
        if least > 0 and most < 1:
            return u
        if not (least >= 0 and most <= 1):
            raise ArgumentError(
                f"noise.{name} must be uniform on [0, 1], as torch.rand or relax.uniform_noise "
                f"draw it; got numbers from {least:g} to {most:g}"
            )
    return u.clamp(*EDGES[u.dtype])


def by_variable(cost: Cost, logits: Tensor, relaxation: Relaxation) -> tuple[Cost, torch.Size]:
    """For logits [replica, batch, variable, outcome], f of a flat b, and (variable, outcome).

    Raises:
        ArgumentError: the relaxation is not of so many variables.
    """
    shape = logits.shape[-2:]
    if getattr(relaxation, "variables", None) != shape[0]:
        raise ArgumentError(
            f"logits of shape {list(logits.shape)} are {shape[0]} categorical variables of "
            f"{shape[1]} outcomes, and the relaxation is {relaxation}: give "
            f"relax.Categorical(variables={shape[0]}), to the surrogate's spec too"
        )

    @functools.wraps(cost, updated=())
    def of_flat(b):
        return cost(b.unflatten(-1, shape))

    return of_flat, shape


def _by_variable(estimate, cost, logits, noise, surrogate, context, relaxation, settings):
    """The estimate of logits [replica, batch, variable, outcome], in that shape."""
    of_flat, shape = by_variable(cost, logits, relaxation)
    flat = (u.flatten(-2) if isinstance(u, Tensor) and u.dim() > 3 else u for u in noise)
    arguments = (logits.flatten(-2), noise._make(flat), context, relaxation)
    result = estimate(surrogate, of_flat, *arguments, **settings)
    sample, gradient = (x.unflatten(-1, shape) for x in (result.sample, result.gradient))
    return result._replace(sample=sample, gradient=gradient)
