"""The categorical relaxation: Gumbel noise, and z given the outcome."""

import torch
from torch.nn.functional import log_softmax

from relax.relaxations.relaxation import Relaxation


class Categorical(Relaxation):
    """One choice among k outcomes, b one-hot along the last axis: [replica, batch, k].

    The logits may have any constant added; ℓ = log_softmax(logits) = log θ. With Gumbel noise
    G = -log(-log u), z = ℓ + G and b is one-hot at the largest z: the Gumbel-max trick. The
    relaxation at a temperature λ is softmax(z/λ) (Jang et al., 2017; Maddison et al., 2017).
    """

    def sample(self, logits, u):
        """z = ℓ - log(-log u). Its derivative in ℓ is 1."""
        return log_softmax(logits, -1) - torch.log(-torch.log(u))

    def threshold(self, z):
        """b = onehot(argmax z), as 0. and 1."""
        return torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0)

    def sample_given(self, logits, b, v):
        """z~ given b by fresh noise v, and its derivative in ℓ (Tucker et al., 2017, appendix).

        The exponentials e^{-z_i} are independent, with rates θ_i. Their minimum is at i with
        probability θ_i, has the rate Σ θ_i = 1 wherever it is, and the others exceed it by
        exponentials of their own rates: they have no memory. So, with T the largest z~,

            i = b:  e^{-z~_i} = -log v_i                  z~_i = T = -log(-log v_i)
            i ≠ b:  e^{-z~_i} = e^{-T} - log v_i / θ_i    z~_i = -log(e^{-T} + e^{-w_i})

        where w = sample(logits, v), which knows nothing of b. z~_i is thus a smooth minimum of T
        and w_i, and with T free of ℓ

            dz~_i/dℓ_i = e^{-w_i} / (e^{-T} + e^{-w_i}) = σ(T - w_i),      dz~_b/dℓ_b = 0.

        Nothing is divided by θ, and the derivative lies in [0, 1]. Where w_i is so far above T
        that z~_i rounds to T, it becomes the number next below: H(z~) = b in every precision.
        """
        w = self.sample(logits, v)
        chosen = b > 0.5
        gumbel = -torch.log(-torch.log(v))
        top = torch.where(chosen, gumbel, 0.0).sum(-1, keepdim=True)
        below = torch.nextafter(top, top.new_tensor(-torch.inf))
        others = torch.minimum(-torch.logaddexp(-top, -w), below)
        z_tilde = torch.where(chosen, top, others)
        return z_tilde, torch.where(chosen, 0.0, torch.sigmoid(top - w))

    def coupled_derivative(self, z, score):
        """dz~_i/dℓ_i where z~ equals z in value: 1 - e^{z_i - max z}.

        By z~_i above, e^{z~_i - T} = e^{-T} / (e^{-T} + e^{-w_i}) = 1 - σ(T - w_i); T is max z.
        At i = b it is 0, as it should be.
        """
        return -torch.expm1(z - z.amax(-1, keepdim=True))

    def score(self, logits, b):
        """∂ log p(b|θ) / ∂ logits = b - θ."""
        return b - torch.softmax(logits, -1)

    def pull_back(self, logits, z, slope):
        """From ℓ to the logits: ∂ℓ_i/∂logit_j = 1[i = j] - θ_j, so slope_j - θ_j Σ_i slope_i."""
        return slope - torch.softmax(logits, -1) * slope.sum(-1, keepdim=True)

    def mean(self, logits):
        """θ = softmax(logits)."""
        return torch.softmax(logits, -1)

    def pull_back_mean(self, mean, slope):
        """∂θ_i/∂logit_j = θ_i (1[i = j] - θ_j), so θ_j (slope_j - Σ_i θ_i slope_i)."""
        return mean * (slope - (mean * slope).sum(-1, keepdim=True))

    def entropy(self, logits):
        """-Σ θ log θ, in nats: [replica, batch]."""
        return -(torch.softmax(logits, -1) * log_softmax(logits, -1)).sum(-1)

    def states(self, logits):
        """All k one-hot values of b."""
        theta = torch.softmax(logits, -1)
        for i, row in enumerate(torch.eye(logits.shape[-1]).to(theta)):
            yield row.expand_as(logits), theta[..., i]

    def relax(self, z, inverse):
        """softmax(z/λ), which sums to one over the outcomes."""
        return torch.softmax(z * inverse, -1)

    def relax_derivative(self, value, inverse):
        """∂y_i/∂z_j = y_i (1[i = j] - y_j) / λ, with y = softmax(z/λ)."""
        outer = value * inverse
        return lambda slope: outer * (slope - (value * slope).sum(-1, keepdim=True))


CATEGORICAL = Categorical()
