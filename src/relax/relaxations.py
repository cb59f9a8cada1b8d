"""Relaxations: a continuous z behind a discrete b, as three verbs.

    sample(logits, u)            z, the relaxed sample
    threshold(z)                 b = H(z), the hard sample
    sample_given(logits, b, v)   z~, the relaxed sample given b, so that H(z~) = b always

Shapes are [replica, batch, latent] throughout; u and v are uniform on (0, 1). Next to z~ stands
its derivative in the logits, in closed form: the estimators need no tape through the sampling.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Draw(NamedTuple):
    """One draw of a relaxation; all shapes [replica, batch, latent]."""

    z: Tensor
    b: Tensor
    z_tilde: Tensor  # the very tensor z when the noise is coupled
    dz_tilde: Tensor  # derivative of z~ in the logits, at fixed v and b


class Bernoulli:
    """b ~ Bernoulli(σ(α)) with logits α: z = α + logit u, b = 1[z > 0] (draft, equation 4)."""

    def sample(self, logits, u):
        """z = α + log u - log(1 - u). Its derivative in α is 1."""
        return logits + torch.log(u) - torch.log1p(-u)

    def threshold(self, z):
        """b = 1[z > 0], as 0. and 1."""
        return (z > 0).to(z.dtype)

    def hard_sample(self, logits, u):
        """b from u, in one go."""
        return self.threshold(self.sample(logits, u))

    def sample_given(self, logits, b, v):
        """z~ given b by fresh noise v, and its derivative in the logits.

        With v' = v(1-θ) for b = 0 and v' = vθ + (1-θ) for b = 1, z~ = α + logit v' (Tucker et al.,
        2017, appendix). Written out it needs neither θ nor a clipped v':

            b = 1:  z~ = softplus(α + log v) - log(1 - v)      dz~/dα = σ(α + log v)
            b = 0:  z~ = log v - softplus(-α + log(1 - v))     dz~/dα = σ(-α + log(1 - v))

        so the derivative lies in (0, 1) and float32 is safe.
        """
        log_v, log_1mv = torch.log(v), torch.log1p(-v)
        one = b > 0.5
        inner = torch.where(one, logits + log_v, log_1mv - logits)
        z_tilde = torch.where(one, softplus(inner) - log_1mv, log_v - softplus(inner))
        return z_tilde, torch.sigmoid(inner)

    def coupled_derivative(self, logits, b, z):
        """dz~/dα where z~ equals z in value: p(b|θ)(1 - e^{-|z|}).

        Put v = (e^z~ - 1) / (e^z~ + e^α) (b = 1, from z~ above) into σ(α + log v); b = 0 follows
        by the symmetry (α, z, b) -> (-α, -z, 1 - b).
        """
        return torch.sigmoid((2 * b - 1) * logits) * -torch.expm1(-z.abs())

    def score(self, logits, b):
        """∂ log p(b|θ) / ∂α = b - σ(α)."""
        return b - torch.sigmoid(logits)

    def draw(self, logits, noise):
        """z, b and z~ from one `Noise`."""
        z = self.sample(logits, noise.u)
        b = self.threshold(z)
        if noise.v is None:
            return Draw(z, b, z, self.coupled_derivative(logits, b, z))
        return Draw(z, b, *self.sample_given(logits, b, noise.v))


BERNOULLI = Bernoulli()
