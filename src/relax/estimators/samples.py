"""Several samples a latent: how they lie, and what the estimators that draw them share.

Samples ride on the batch axis. With K samples the noise is [replica, K * batch, latent], and so is
b; sample k of image i has the row k * batch + i. The cost is called once, on all of them, and
gives [replica, K * batch]. The logits stay [replica, batch, latent], and so does the gradient: it
is one estimate an image. One sample is the case K = 1, where all of this says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from relax.numerics.signatures import Cost, Pair
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation


def sample_count(noise: Noise, logits: Tensor, who: str, least: int = 1, step: int = 1) -> int:
    """K: how many rows of noise there are for each image.

    Raises:
        ArgumentError: `who` takes `least` or more, in multiples of `step`.
    """
    samples = noise.u.shape[1] // logits.shape[1]
    if samples < least or samples % step:
        wants = f"{least} or more" if step == 1 else f"a multiple of {step}"
        raise ArgumentError(
            f"{who} takes {wants} samples of each latent; the noise is for {samples}"
        )
    return samples


def only(kinds: Sequence[str], relaxation: Relaxation, who: str) -> None:
    """Refuse latents that an estimator's formula is not for.

    Raises:
        ArgumentError: naming the kinds that it is for.
    """
    if relaxation.kind not in kinds:
        raise ArgumentError(
            f"{who} is for {' and '.join(kinds)} latents, not {relaxation.kind} ones"
        )


def widen(tensor: Tensor, rows: int) -> Tensor:
    """A tensor [replica, batch, ...] once for each sample: [replica, rows, ...]."""
    times = rows // tensor.shape[1]
    return tensor if times == 1 else tensor.repeat(1, times, *[1] * (tensor.dim() - 2))


def by_sample(tensor: Tensor, batch: int) -> Tensor:
    """[replica, K * batch, ...] as [replica, K, batch, ...]."""
    return tensor.unflatten(1, (-1, batch))


def first_of(samples: Tensor, like: Tensor) -> Tensor:
    """Of [replica, K * batch, ...] the first sample, as many rows as `like` has."""
    return samples[:, : like.shape[1]]


def hard_samples(relaxation: Relaxation, logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """K independent b, [replica, K * batch, latent], and their scores [replica, K, batch, ...]."""
    # The logits of a single row are those of every sample: nothing is copied or computed twice.
    wide = logits if logits.shape[1] == 1 else widen(logits, u.shape[1])
    b = relaxation.hard_sample(wide, u)
    return b, by_sample(relaxation.score(wide, b), logits.shape[1])


def others_mean(values: Tensor) -> Tensor:
    """Of [replica, K, ...] for each sample the mean over the others."""
    return (values.sum(1, keepdim=True) - values) / (values.shape[1] - 1)


def value_and_gradient(cost: Cost, b: Tensor) -> Pair:
    """f(b) [replica, row], with the graph that the cost gives it, and ∂f/∂b at the hard b.

    A cost may have a method of its own for that, `hard_gradient(b)`. In inference mode the tape
    runs all the same.

    Raises:
        ArgumentError: the cost does not say how it depends on b.
    """
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            return value_and_gradient(cost, b.clone())
    if hasattr(cost, "hard_gradient"):
        return cost.hard_gradient(b)
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        b = b.detach().requires_grad_()
        f, slope = cost(b), None
        if f.requires_grad:
            (slope,) = torch.autograd.grad(f.sum(), b, retain_graph=graph, allow_unused=True)
    if slope is None:
        raise ArgumentError(
            "the cost cannot be differentiated in b, and this estimator needs its gradient there; "
            "reinforce, rloo, disarm, arms, and relax with its network alone need none"
        )
    return (f if graph else f.detach()), slope
