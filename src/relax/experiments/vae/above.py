"""The relaxed layer above another, with linear maps between them, in closed form.

Of a VAE's cost at a relaxed value v of one layer, what the layer above adds when it is drawn
relaxed from v (`relax.experiments.vae.model.LayerCost`), with i = 1/λ and uniform noise u:

    α = (2v - 1) W + a,    z = α + logit u,    s = σ(z i),    g = (2s - 1) V + c
    A = Σ [s (α - π) - softplus(α) + softplus(π)] + Σ [softplus(g) - v g]

that is log q(s) - log p(s) - log p(v|s), with log-probabilities extended linearly. With
e = σ(g) - v, q = ∂A/∂s = 2 e Vᵀ + α - π and s' = ∂s/∂z = s (1 - s) i its slope is

    ∂A/∂v = 2 [s - σ(α) + q s'] Wᵀ - g.

The tangents, written D, are the derivatives in log λ, on which v depends and Di = -i:

    Dα = 2 Dv W,    Ds = s' (Dα - z),    Dg = 2 Ds V,    De = σ'(g) Dg - Dv
    DA = Σ [Ds (α - π) + (s - σ(α)) Dα] + Σ [e Dg - Dv g]
    Dq = 2 De Vᵀ + Dα,    Ds' = (1 - 2s) i Ds - s'
    D(∂A/∂v) = 2 [Ds - σ'(α) Dα + Dq s' + q Ds'] Wᵀ - Dg.

Each product of a tangent goes with the product above it, as a second minibatch.
"""

import torch
from torch.nn.functional import softplus

from relax.numerics.products import down, up
from relax.surrogates.closed_forms import Relaxed


def above(value, inverse, logistic, encoder, decoder, prior, tangent=None):
    """A and ∂A/∂v, `Relaxed`; no tape is kept.

    Args:
        value: v, [replica, batch, latent].
        inverse: i, [replica, 1, 1].
        logistic: logit u, [replica, batch, latent].
        encoder, decoder: the layer's `relax.numerics.replicas.StackedLinear`.
        prior: π, [replica, 1, latent].
        tangent: Dv, like v; None where no tangents are wanted.
    """
    w, v, learns = encoder.weight, decoder.weight, tangent is not None
    alpha, d_alpha = _twice(up, w, value - 0.5, tangent)
    alpha = alpha + encoder.bias
    z = alpha + logistic
    s = torch.sigmoid(z * inverse)
    bend = (s - s * s) * inverse
    ds = bend * (d_alpha - z) if learns else None
    g, dg = _twice(up, v, s - 0.5, ds)
    g = g + decoder.bias
    factor, theta = alpha - prior, torch.sigmoid(g)
    e = theta - value
    q, dq = _twice(down, v, e, _spread(theta) * dg - tangent if learns else None)
    q = q + factor
    theta_alpha = torch.sigmoid(alpha)
    slack = s - theta_alpha
    inner, d_inner = slack + q * bend, None
    if learns:
        d_bend = (1 - 2 * s) * inverse * ds - bend
        d_inner = ds - _spread(theta_alpha) * d_alpha + (dq + d_alpha) * bend + q * d_bend
    slope, d_slope = _twice(down, w, inner, d_inner)
    result = s * factor - softplus(alpha) + softplus(prior) + softplus(g) - value * g
    if not learns:
        return Relaxed(result.sum(-1), slope - g)
    d_result = ds * factor + slack * d_alpha + e * dg - tangent * g
    return Relaxed(result.sum(-1), slope - g, d_result.sum(-1), d_slope - dg)


def _spread(theta):
    """σ' from σ."""
    return theta - theta * theta


def _twice(product, matrix, first, second):
    """2 product(first), and along with it 2 product(second) or None."""
    if second is None:
        return product(first, matrix).mul_(2), None
    return product(torch.cat([first, second], -2), matrix).mul_(2).chunk(2, -2)
