"""The categorical relaxation: Gumbel noise, and z given the outcome, of one variable or of many."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import log_softmax

from relax.errors import ArgumentError, ConfigError
from relax.numerics import checks
from relax.relaxations import MOST_STATES
from relax.relaxations.relaxation import CERTAIN, Relaxation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from relax.numerics.signatures import Pair


class Categorical(Relaxation):
    """Choices among k outcomes each, b one-hot: [replica, batch, variables x k].

    The last axis holds the outcomes of the first variable, then those of the second. In what
    follows every formula is that of one variable: the variables are independent given the logits,
    z and z~ of each are made of its own logits and noise, and

        log p(b) = Σ_v log p(b_v)

    so that a derivative in the logits falls into blocks, one a variable. For each of them z~_v
    given b_v has the law of z_v given b_v, whatever the others are, and so has all of z~ given b
    that of z: the one formula is unbiased for every c of all variables together. With coupled noise
    the weight of ∂c/∂z_vi is 1 - dz~_vi/dℓ_vi = e^{z_vi - max_j z_vj}, with the maximum over the
    outcomes of that variable alone.

    The logits of a variable may have any constant added; ℓ = log_softmax(logits) = log θ. With
    Gumbel noise G = -log(-log u), z = ℓ + G and b is one-hot at the largest z: the Gumbel-max
    trick. The relaxation at a temperature λ is softmax(z/λ) (Jang et al., 2017; Maddison et al.,
    2017).

    A uniform float32 is a multiple of 2^-24, so that G would end at 16.6, and a choice among very
    many outcomes would lose its tail. So the noise may be float64 (`noise_type`), whatever the
    logits are: G, up to 36.7, is made before it is rounded to their type.

    Args:
        variables: how many.
        outcomes: k; None for what the last axis holds.
    """

    kind = "categorical"

    def __init__(self, variables: int = 1, outcomes: int | None = None) -> None:
        self.variables = checks.count("variables", variables)
        self.outcomes = None if outcomes is None else checks.count("outcomes", outcomes, 2)

    def __repr__(self):
        told = {"variables": self.variables, "outcomes": self.outcomes}
        plain = {"variables": 1, "outcomes": None}
        said = (f"{name}={value}" for name, value in told.items() if value != plain[name])
        return f"Categorical({', '.join(said)})"

    def check_width(self, width: int) -> None:
        """Raises ArgumentError: so many logits are not variables x outcomes."""
        whole, rest = divmod(width, self.variables)
        if rest or (self.outcomes or whole) != whole:
            k = self.outcomes or "outcomes"
            raise ArgumentError(
                f"{self} has {self.variables} x {k} logits on the last axis; got {width}"
            )

    def noise_type(self, dtype: torch.dtype) -> torch.dtype:
        """float64: for the tail of the Gumbel, whatever the logits are."""
        return torch.float64

    def split(self, x: Tensor) -> Tensor:
        """[..., variables x outcomes] as [..., variable, outcome]; of one variable, x itself."""
        return x if self.variables == 1 else x.unflatten(-1, (self.variables, -1))

    def join(self, x: Tensor) -> Tensor:
        """The way back."""
        return x if self.variables == 1 else x.flatten(-2)

    def sample(self, logits: Tensor, u: Tensor) -> Tensor:
        """z = ℓ - log(-log u). Its derivative in ℓ is 1."""
        return self.join(log_softmax(self.split(logits), -1)) + gumbel(u, logits)

    def threshold(self, z: Tensor) -> Tensor:
        """b = onehot(argmax z) of each variable, as 0. and 1."""
        z = self.split(z)
        return self.join(torch.zeros_like(z).scatter_(-1, z.argmax(-1, keepdim=True), 1.0))

    def sample_given(self, logits: Tensor, b: Tensor, v: Tensor) -> Pair:
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
        w = self.split(self.sample(logits, v))
        chosen = self.split(b) > 0.5
        own = self.split(gumbel(v, logits))
        top = torch.where(chosen, own, 0.0).sum(-1, keepdim=True)
        below = torch.nextafter(top, top.new_tensor(-torch.inf))
        others = torch.minimum(-torch.logaddexp(-top, -w), below)
        z_tilde = torch.where(chosen, top, others)
        derivative = torch.where(chosen, 0.0, torch.sigmoid(top - w))
        return self.join(z_tilde), self.join(derivative)

    def coupled_derivative(self, z: Tensor, score: Tensor) -> Tensor:
        """dz~_i/dℓ_i where z~ equals z in value: 1 - e^{z_i - max z}.

        By z~_i above, e^{z~_i - T} = e^{-T} / (e^{-T} + e^{-w_i}) = 1 - σ(T - w_i); T is max z.
        At i = b it is 0, as it should be.
        """
        z = self.split(z)
        return self.join(-torch.expm1(z - z.amax(-1, keepdim=True)))

    def score(self, logits: Tensor, b: Tensor) -> Tensor:
        """∂ log p(b|θ) / ∂ logits = b - θ."""
        return b - self.mean(logits)

    def pull_back(self, logits: Tensor, z: Tensor, slope: Tensor) -> Tensor:
        """From ℓ to the logits: ∂ℓ_i/∂logit_j = 1[i = j] - θ_j, so slope_j - θ_j Σ_i slope_i."""
        total = self.split(slope).sum(-1, keepdim=True)
        theta = torch.softmax(self.split(logits), -1)
        return self.join(self.split(slope) - theta * total)

    def mean(self, logits: Tensor) -> Tensor:
        """θ = softmax(logits)."""
        return self.join(torch.softmax(self.split(logits), -1))

    def pull_back_mean(self, mean: Tensor, slope: Tensor) -> Tensor:
        """∂θ_i/∂logit_j = θ_i (1[i = j] - θ_j), so θ_j (slope_j - Σ_i θ_i slope_i)."""
        mean, slope = self.split(mean), self.split(slope)
        return self.join(mean * (slope - (mean * slope).sum(-1, keepdim=True)))

    def entropy(self, logits: Tensor) -> Tensor:
        """-Σ θ log θ, in nats, over all variables: [replica, batch]. A θ of 0 adds nothing."""
        theta, log_theta = self.mean(logits), self._log_theta(logits)
        return -(theta * log_theta).sum(-1)

    def log_prob(self, logits: Tensor, b: Tensor) -> Tensor:
        """log p(b) = Σ b log θ, in nats, linear in b: [replica, batch]."""
        return (b * self._log_theta(logits)).sum(-1)

    def normaliser(self, logits: Tensor) -> Tensor:
        """A of each variable, with log p(b) = Σ b·logits - Σ A, in nats: [..., variable]."""
        return logits.unflatten(-1, (self.variables, -1)).logsumexp(-1)

    def _log_theta(self, logits):
        """ℓ, with the least float for -∞: 0 times it is 0."""
        log_theta = self.join(log_softmax(self.split(logits), -1))
        return log_theta.clamp(min=torch.finfo(log_theta.dtype).min)

    def check_logits(self, logits: Tensor) -> None:
        """Raises ArgumentError: a logit is NaN or +∞, or all outcomes of a variable are masked."""
        parts = self.split(logits)
        if (parts.isnan() | (parts == torch.inf)).any():
            raise ArgumentError(
                "categorical logits must be finite, or -inf for a masked outcome; some are not"
            )
        if (parts == -torch.inf).all(-1).any():
            raise ArgumentError(
                "all outcomes of a categorical variable are masked (their logits are -inf): leave "
                "at least one"
            )

    def settle(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """A masked outcome, of logit -∞, gets one CERTAIN below the largest of its variable.

        Its probability is then below rounding.
        """
        parts = self.split(logits)
        masked = parts == -torch.inf
        top = parts.amax(-1, keepdim=True)
        low = top - (CERTAIN + top.abs() / 1024)  # a large logit must not round it away
        return self.join(torch.where(masked, low, parts)), self.join(masked)

    def states(self, logits: Tensor) -> Iterator[Pair]:
        """All one-hot values of b: k of one variable, k^variables of several.

        Raises:
            ConfigError: several variables with more than 2^16 values.
        """
        theta = torch.softmax(self.split(logits), -1)
        if self.variables == 1:
            for i, row in enumerate(torch.eye(logits.shape[-1]).to(theta)):
                yield row.expand_as(logits), theta[..., i]
            return
        k = logits.shape[-1] // self.variables
        if k**self.variables > MOST_STATES:
            raise ConfigError(
                f"exact enumerates outcomes^variables values: at most {MOST_STATES}; "
                f"{k}^{self.variables} are too many"
            )
        one_hot = torch.eye(k).to(theta)
        for chosen in itertools.product(range(k), repeat=self.variables):
            b = torch.cat([one_hot[i] for i in chosen])
            parts = [theta[..., v, i] for v, i in enumerate(chosen)]
            yield b.expand_as(logits), torch.stack(parts).prod(0)

    def relax(self, z: Tensor, inverse: Tensor | float) -> Tensor:
        """softmax(z/λ), which sums to one over the outcomes of each variable."""
        return self.join(torch.softmax(self.split(z * inverse), -1))

    def relax_derivative(
        self, value: Tensor, inverse: Tensor | float
    ) -> Callable[[Tensor], Tensor]:
        """∂y_i/∂z_j = y_i (1[i = j] - y_j) / λ, with y = softmax(z/λ)."""
        outer = value * inverse

        def to_z(slope):
            total = self.split(value * slope).sum(-1, keepdim=True)
            return outer * self.join(self.split(slope) - total)

        return to_z


def gumbel(u: Tensor, like: Tensor) -> Tensor:
    """G = -log(-log u), made in u's type and rounded to that of `like`."""
    return -torch.log(-torch.log(u)).to(like.dtype)


CATEGORICAL = Categorical()
