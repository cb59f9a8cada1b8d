"""The relaxed layer above another, with linear maps between them, in closed form.

Of a VAE's cost at a relaxed value v of one layer, what the layer above adds when it is drawn
relaxed from v (`relax.problems.vae.LayerCost`), with i = 1/λ and uniform noise u:

    α = (2v - 1) W + a,    z = α + logit u,    s = σ(z i),    g = (2s - 1) V + c
    A = Σ [s (α - π) - softplus(α) + softplus(π)] + Σ [softplus(g) - v g]

that is log q(s) - log p(s) - log p(v|s), with log-probabilities extended linearly. With
e = σ(g) - v, q = ∂A/∂s = α - π + 2 e Vᵀ and s' = s (1 - s) i its slope is

    ∂A/∂v = 2 [s - σ(α) + q s'] Wᵀ - g.

For Σ G A + Σ w·∂A/∂v, note that w·∂A/∂v is the tangent of A along w. With the tangents
α' = 2 w W, t = s' α' (of s) and g' = 2 t V,

    ∂/∂s = G q + α' + 2 (σ'(g) g' - w) Vᵀ + q (1 - 2s) i α'         =: S
    ∂/∂v = 2 [G (s - σ(α)) + t - σ'(α) α' + S s'] Wᵀ - G g - g'
    ∂/∂i = Σ s (1 - s) [S z + q α'].
"""

import torch
from torch.nn.functional import softplus

from relax.closed_forms import ClosedForm


def above_form(value, inverse, logistic, encoder, decoder, prior):
    """A [replica, batch] and ∂A/∂v [replica, batch, latent]; the inputs are v and i.

    Args:
        value: v, [replica, batch, latent].
        inverse: i, [replica, 1, 1].
        logistic: logit u, [replica, batch, latent].
        encoder, decoder: the layer's `relax.replicas.StackedLinear`, constants.
        prior: π, [replica, 1, latent], a constant.
    """
    w, v = encoder.weight, decoder.weight

    def evaluate():
        alpha = torch.baddbmm(encoder.bias, 2 * value - 1, w)
        z = alpha + logistic
        s = torch.sigmoid(z * inverse)
        g = torch.baddbmm(decoder.bias, 2 * s - 1, v)
        factor, theta = alpha - prior, torch.sigmoid(g)
        result = s * factor - softplus(alpha) + softplus(prior) + softplus(g) - value * g
        q = torch.baddbmm(factor, theta - value, v.mT, alpha=2)
        slack = s - torch.sigmoid(alpha)
        spread = s - s * s
        ds = spread * inverse
        slope = torch.baddbmm(g, slack + q * ds, w.mT, beta=-1, alpha=2)

        def derivatives(weight, along, wanted):
            weight = weight.unsqueeze(-1)
            dalpha = 2 * torch.bmm(along, w)
            tangent = ds * dalpha
            dg = 2 * torch.bmm(tangent, v)
            q_dalpha = q * dalpha
            in_s = torch.addcmul(dalpha, weight, q).addcmul_(q_dalpha, (1 - 2 * s) * inverse)
            in_s.baddbmm_((theta - theta * theta) * dg - along, v.mT, alpha=2)
            theta_alpha = torch.sigmoid(alpha)
            in_alpha = torch.addcmul(tangent, weight, slack).addcmul_(in_s, ds)
            in_alpha.addcmul_(theta_alpha - theta_alpha * theta_alpha, dalpha, value=-1)
            in_value = torch.baddbmm(dg + weight * g, in_alpha, w.mT, beta=-1, alpha=2)
            in_inverse = (spread * torch.addcmul(q_dalpha, in_s, z)).sum((1, 2), keepdim=True)
            return in_value, in_inverse

        return result.sum(-1), slope, derivatives

    return ClosedForm(evaluate, (value, inverse))
