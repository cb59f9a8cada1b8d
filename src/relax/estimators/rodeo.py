"""RODEO (Shi et al., 2022): control variates from Stein operators of the Bernoulli law.

Let y_i be b with bit i flipped and w_i the probability of its flipped value. For any function h

    (A h)(b) = 1/D Σ_i w_i [h(y_i) - h(b)],      E[A h] = 0,

since redrawing one bit at random leaves the law of b as it is. Of sample k, with j ≠ k, the
functions are the two outputs (H0, H1) of a network that sees a first-order guess of the change of f
and f itself, averaged over j:

    (H0, H1)(y) = mean_{j≠k} net(∇f(b_j)·(y - b_j), F_j)

    g = mean_k { [F_k - mean_{j≠k}(F_j + a (A H0)_j)] s(b_k) + β (A [H1 s])_k },      s = ∂ log p

a, β and the network descend the variance; the network's outputs start at 0, which is RLOO.

**Unbiased.** Given b_k, what (A H0)_j holds besides b_j is apart from b_j; so its mean is zero, and
so is that of its product with s(b_k). In (A [H1 s])_k all but b_k is apart from b_k. At a flip s
changes in one coordinate, so that this is

    1/D { s_l(b) Σ_i w_i [H1(y_i) - H1(b)] + w_l H1(y_l) (1 - 2 b_l) }.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.rloo import contrast
from relax.estimators.samples import (
    by_sample,
    hard_samples,
    only,
    others_mean,
    sample_count,
    value_and_gradient,
)
from relax.numerics.leaky import leaky_network
from relax.numerics.replicas import StackedMLP
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import Surrogate

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from relax.numerics.replicas import StackedLinear
    from relax.numerics.signatures import Cost, Generators, Pair
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import SurrogateSpec


class Stein(Surrogate):
    """a, β, and the network with the outputs H0 and H1."""

    UNITS, SLOPE = 100, 0.3

    def __init__(self, spec: SurrogateSpec, generators: Generators) -> None:
        super().__init__()
        self.network = StackedMLP([2, self.UNITS, 2], generators, spec.dtype)
        last: Any = self.network.layers[-1]
        nn.init.zeros_(last.weight)
        # Of H0 differences alone count, so that the output's bias is H1's, by itself.
        last.bias.requires_grad_(False)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, 1, 1, dtype=spec.dtype))
        self.scales = nn.Parameter(torch.ones(len(generators), 2, 1, 1, 1, dtype=spec.dtype))

    def forward(self, change: Tensor, f: Tensor) -> Pair:
        """(H0, H1) of two tensors of one shape [replica, ...]: a tensor like them each."""
        hidden, last = cast("tuple[StackedLinear, StackedLinear]", tuple(self.network.layers))
        first = torch.cat([hidden.weight, hidden.bias], 1)
        points = torch.stack([change.flatten(1), f.flatten(1)], 1)
        heads = leaky_network(points, first, last.weight, self.SLOPE)
        h0, h1 = heads.unflatten(-1, change.shape[1:]).unbind(1)
        return h0, h1 + self.bias


def stein_estimate(
    surrogate: Stein,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`, K rows an image."""
    only(("bernoulli",), relaxation, "rodeo")
    samples = sample_count(noise, logits, "rodeo", least=2)
    batch = logits.shape[1]
    rows, score = hard_samples(relaxation, logits.detach(), noise.u)
    f, slope = value_and_gradient(cost, rows)
    b, slope, value = (by_sample(each, batch) for each in (rows, slope, f.detach()))
    w = torch.abs(score)  # p(b) = 1 - |b - θ|, so that |s| is the flipped value's
    flip = 1 - 2 * b
    # ∇f(b_j)·(y - b_j) for y = b_k and for its flips: [replica, k, j, batch(, latent)]
    at_b = torch.einsum("rjbl,rkjbl->rkjb", slope, b.unsqueeze(2) - b.unsqueeze(1))
    at_flips = at_b.unsqueeze(-1) + slope.unsqueeze(1) * flip.unsqueeze(2)
    change = torch.cat([at_b.unsqueeze(-1), at_flips], -1)
    seen = value[:, None, :, :, None].expand_as(change)
    heads = surrogate(*(without_diagonal(pairs) for pairs in (change, seen)))
    h0, h1 = (h.unflatten(1, (samples, samples - 1)).mean(2) for h in heads)
    drift0, drift1 = ((w * (h[..., 1:] - h[..., :1])).mean(-1) for h in (h0, h1))
    own = drift1.unsqueeze(-1) * score + w * h1[..., 1:] * score_change(b) / b.shape[-1]
    a, beta = surrogate.scales.unbind(1)
    others = (others_mean(drift0).unsqueeze(-1) * score).mean(1)
    gradient = contrast(value, score) - a.squeeze(1) * others + beta.squeeze(1) * own.mean(1)
    return Estimate(rows, f, gradient)


def without_diagonal(pairs: Tensor) -> Tensor:
    """[replica, K, K, ...] -> [replica, K (K - 1), ...], the pairs of two different samples."""
    samples = pairs.shape[1]
    rows = pairs.flatten(1, 2)[:, 1:].unflatten(1, (samples - 1, samples + 1))
    return rows[:, :, :-1].flatten(1, 2)


def score_change(b: Tensor) -> Tensor:
    """What each latent's score gains when its bit is flipped."""
    return 1 - 2 * b


ESTIMATOR = Estimator(estimate=stein_estimate, surrogate=Stein, samples=lambda spec: spec.samples)
