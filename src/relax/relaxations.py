"""Relaxations: a continuous z behind a b that is drawn, as three verbs.

    sample(logits, u)            z, the relaxed sample
    threshold(z)                 b = H(z), the hard sample
    sample_given(logits, b, v)   z~, the relaxed sample given b, so that H(z~) = b always

Shapes are [replica, batch, latent] throughout; u and v are uniform on (0, 1). Next to z~ stands
its derivative, in closed form: the estimators need no tape through the sampling.

Derivatives are taken in two stages. z moves one for one with its location (the logit α, the
log-probabilities ℓ, the mean), and z~ with its own location coordinate by coordinate; from there
`pull_back` takes them to the parameters, by the chain rule. The parameters are called logits
whatever they are.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, softplus

from relax.errors import ConfigError
from relax.registry import REGISTRY

MAX_LATENTS = REGISTRY["exact"].max_latents


class Draw(NamedTuple):
    """One draw of a relaxation; all shapes [replica, batch, latent]."""

    z: Tensor
    b: Tensor
    z_tilde: Tensor  # the very tensor z when the noise is coupled
    dz_tilde: Tensor  # derivative of z~ in its location, at fixed v and b


class Relaxation:
    """What the relaxations share. Besides the three verbs, each of them has

    coupled_derivative(logits, b, z)   derivative of z~ in its location where z~ is z in value
    score(logits, b)                   ∂ log p(b) / ∂ logits
    pull_back(logits, z, slope)        ∂c(z) / ∂ logits, from the slope ∂c/∂z
    mean(logits)                       E[b]
    pull_back_mean(mean, slope)        ∂c(E[b]) / ∂ logits, from the slope in E[b]
    states(logits)                     every b with its probability, in turn
    relax(z, inverse)                  b's relaxed value at the temperature 1 / inverse
    relax_derivative(h, inverse)       how a slope in h = 2 relax(z) - 1 becomes one in z
    """

    def hard_sample(self, logits, u):
        """b from u, in one go."""
        return self.threshold(self.sample(logits, u))

    def draw(self, logits, noise):
        """z, b and z~ from one `Noise`."""
        z = self.sample(logits, noise.u)
        b = self.threshold(z)
        if noise.v is None:
            return Draw(z, b, z, self.coupled_derivative(logits, b, z))
        return Draw(z, b, *self.sample_given(logits, b, noise.v))


class Bernoulli(Relaxation):
    """b ~ Bernoulli(σ(α)) with logits α: z = α + logit u, b = 1[z > 0] (draft, equation 4)."""

    def sample(self, logits, u):
        """z = α + log u - log(1 - u). Its derivative in α is 1."""
        return logits + torch.log(u) - torch.log1p(-u)

    def threshold(self, z):
        """b = 1[z > 0], as 0. and 1."""
        return (z > 0).to(z.dtype)

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

    def pull_back(self, logits, z, slope):
        """The location is the logit itself: ∂z/∂α = 1."""
        return slope

    def mean(self, logits):
        """θ = σ(α)."""
        return torch.sigmoid(logits)

    def pull_back_mean(self, mean, slope):
        """∂θ/∂α = θ (1 - θ)."""
        return slope * mean * (1 - mean)

    def states(self, logits):
        """All 2^latents values of b.

        Raises:
            ConfigError: more than 16 latents.
        """
        latents = logits.shape[-1]
        if latents > MAX_LATENTS:
            raise ConfigError(
                f"exact enumerates 2^latents values: at most {MAX_LATENTS} latents; got {latents}"
            )
        for state in itertools.product((0.0, 1.0), repeat=latents):
            b = torch.tensor(state, dtype=logits.dtype, device=logits.device).expand_as(logits)
            yield b, logsigmoid((2 * b - 1) * logits).sum(-1).exp()

    def relax(self, z, inverse):
        """σ(z/λ)."""
        return torch.sigmoid(z * inverse)

    def relax_derivative(self, h, inverse):
        """∂(2σ(z/λ) - 1)/∂z = (1 - h²) / (2λ)."""
        outer = 0.5 * (1 - h * h) * inverse
        return lambda slope: slope * outer


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

    def coupled_derivative(self, logits, b, z):
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

    def states(self, logits):
        """All k one-hot values of b."""
        theta = torch.softmax(logits, -1)
        for i, row in enumerate(torch.eye(logits.shape[-1]).to(theta)):
            yield row.expand_as(logits), theta[..., i]

    def relax(self, z, inverse):
        """softmax(z/λ), which sums to one over the outcomes."""
        return torch.softmax(z * inverse, -1)

    def relax_derivative(self, h, inverse):
        """With y = softmax(z/λ) and h = 2y - 1: ∂h_i/∂z_j = 2 y_i (1[i = j] - y_j) / λ."""
        y = 0.5 * (1 + h)
        outer = 2 * y * inverse
        return lambda slope: outer * (slope - (y * slope).sum(-1, keepdim=True))


class Gaussian(Relaxation):
    """Continuous b ~ N(mean, e^{2 log_std}), independent coordinates: LAX.

    The parameters are [replica, batch, 2 latent], first the means and then the logarithms of the
    standard deviations; noise, z and b are [replica, batch, latent]. b is z itself, so z given b
    is b, and no derivative flows through it. The one formula becomes (Grathwohl et al., 2018,
    equation 5)

        g = [f(b) - c(b)] ∂ log p(b) + ∂c(b).
    """

    def sample(self, logits, u):
        """z = mean + e^{log_std} ε with ε = Φ^{-1}(u). Its derivative in the mean is 1."""
        mean, log_std = logits.chunk(2, -1)
        return mean + torch.exp(log_std) * torch.special.ndtri(u)

    def threshold(self, z):
        """b = z."""
        return z

    def sample_given(self, logits, b, v):
        """z~ = b, whatever v is: given b nothing is left to draw, and b is held fixed."""
        return b, torch.zeros_like(b)

    def coupled_derivative(self, logits, b, z):
        """0, as with independent noise."""
        return torch.zeros_like(z)

    def score(self, logits, b):
        """∂ log p(b): ε/std in the means, ε² - 1 in the logarithms, with ε = (b - mean)/std."""
        mean, log_std = logits.chunk(2, -1)
        inverse_std = torch.exp(-log_std)
        epsilon = (b - mean) * inverse_std
        return torch.cat([epsilon * inverse_std, epsilon.square() - 1], -1)

    def pull_back(self, logits, z, slope):
        """∂z/∂mean = 1 and ∂z/∂log_std = z - mean."""
        mean, _ = logits.chunk(2, -1)
        return torch.cat([slope, slope * (z - mean)], -1)

    def mean(self, logits):
        """The means."""
        return logits.chunk(2, -1)[0]

    def pull_back_mean(self, mean, slope):
        """The mean does not depend on the standard deviation."""
        return torch.cat([slope, torch.zeros_like(slope)], -1)

    def states(self, logits):
        """There is a continuum of them.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("exact enumerates values: a Gaussian latent has too many; leave it out")

    def relax(self, z, inverse):
        """A continuous b is its own relaxation, and a temperature would have nothing to do.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Gaussian latents have no temperature: use a surrogate without one, "
            "as RELAX's network with squash: false and add_relaxed_cost: false"
        )


BERNOULLI = Bernoulli()
CATEGORICAL = Categorical()
GAUSSIAN = Gaussian()
