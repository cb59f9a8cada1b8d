"""DisARM on a tree (Dong et al., 2021): an antithetic pair of categorical samples.

The k outcomes are the leaves of a balanced binary tree. In each inner node n a Bernoulli bit with
the logit a_n = logsumexp(logits on the right) - logsumexp(logits on the left) says where to go on;
the path from the root down is a sample. The pair uses u and 1 - u in every node. In a_n, with f and
f' the costs of b and b',

    both paths meet n:     ½ (f - f') (bit - bit') σ(|a_n|)         DisARM's term
    only that of b:        ½ (f - f') (bit - σ(a_n))
    only that of b':       ½ (f' - f) (bit' - σ(a_n))

and the chain rule takes it to the logits: ∂a_n/∂logit_i is i's share of its side of n, with the
side's sign.

**Unbiased.** The gradient in a_n is P(b meets n) ∂_n, with ∂_n that of E[f | b meets n]. Whether
the two paths meet n is up to the nodes above, whose bits are drawn apart from n's. Given that both
do, the term has the mean ∂_n, as DisARM for one latent; given that b alone does, the mean is ½ ∂_n,
for f' does not know n's bits; and so for b'. In all the factor of ∂_n is
P(both) + ½ P(b alone) + ½ P(b' alone) = P(b meets n).

Several variables side by side have a tree each.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

from relax.estimators.formula import Estimate, Estimator
from relax.estimators.samples import by_sample, only, sample_count
from relax.relaxations.bernoulli import BERNOULLI

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Cost, Pair
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Relaxation
    from relax.surrogates.base import Surrogate


@functools.cache
def balanced_tree(outcomes: int) -> Tensor:
    """[node, outcome]: 1 where the outcome is to the right of the node, -1 to the left, else 0."""
    nodes, todo = [], [(0, outcomes)]
    while todo:
        low, high = todo.pop()
        middle = (low + high) // 2
        if low < middle:
            nodes.append(
                [float(i >= middle) * 2 - 1 if low <= i < high else 0.0 for i in range(outcomes)]
            )
            todo += [(low, middle), (middle, high)]
    return torch.tensor(nodes, dtype=torch.float64).view(-1, outcomes)


def tree_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The estimate above; arguments as in `formula.control_variate_estimate`.

    The pairs' u are those of the first outcomes in the first half of the noise's rows.
    """
    only(("categorical",), relaxation, "disarm_tree")
    pairs = sample_count(noise, logits, "disarm_tree", least=2, step=2) // 2
    batch, shape = logits.shape[1], (relaxation.variables, -1)
    logits = logits.detach().unflatten(-1, shape)
    u = by_sample(noise.u[:, : pairs * batch], batch).unflatten(-1, shape)
    # From here [replica, (pair,) batch, variable, node or outcome].
    tree = balanced_tree(logits.shape[-1]).to(logits)
    u = u[..., : len(tree)]
    inside = torch.where(tree == 0, -torch.inf, logits.unsqueeze(-2))
    sides = [
        torch.where(tree == side, logits.unsqueeze(-2), -torch.inf).logsumexp(-1)
        for side in (-1, 1)
    ]
    a = (sides[1] - sides[0]).unsqueeze(1)
    theta = torch.sigmoid(a)
    z = torch.logit(u)  # that of 1 - u, which may round to 1, is -z
    bits = [torch.sign(noise + a).clamp(min=0).to(a.dtype) for noise in (z, -z)]
    paths = [follow(tree, bit) for bit in bits]
    b = torch.cat([leaf for leaf, _ in paths], 1)
    rows = b.flatten(-2).flatten(1, 2)
    f = cost(rows)
    first, second = by_sample(f.detach(), batch).chunk(2, 1)
    gap = ((first - second) / 2)[..., None, None]
    (_, met), (_, met2) = paths
    bit, bit2 = bits
    terms = torch.where(
        (met > 0) & (met2 > 0),
        (bit - bit2) * torch.sigmoid(a.abs()),
        one_path(met, bit, theta) - one_path(met2, bit2, theta),
    )
    in_nodes = (gap * terms).mean(1)
    own = torch.where(tree > 0, sides[1].unsqueeze(-1), sides[0].unsqueeze(-1))
    shares = tree * torch.exp(inside - own)
    gradient = (in_nodes.unsqueeze(-1) * shares).sum(-2)
    return Estimate(rows, f, gradient.flatten(-2))


def one_path(met: Tensor, bit: Tensor, theta: Tensor) -> Tensor:
    """The score in a node that this path meets, and the other does not."""
    return met * (bit - theta)


def follow(tree: Tensor, bits: Tensor) -> Pair:
    """Where the bits lead: the leaf, one-hot [..., outcome], and the nodes gone by [..., node]."""
    agree = (2 * bits - 1) @ tree  # at a leaf: its nodes that say so, less those that do not
    leaf = (agree == tree.abs().sum(0)).to(bits.dtype)
    return leaf, leaf @ tree.abs().T


ESTIMATOR = Estimator(estimate=tree_estimate, samples=lambda spec: spec.samples)
