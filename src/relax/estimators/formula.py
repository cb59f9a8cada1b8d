"""The one formula, and what an estimator is.

Contract, the same for every estimator:

    (surrogate, cost, logits, noise, context) -> Estimate(sample, cost, gradient, learning_signal)

An estimator may take K samples of every latent; `Estimator.samples` says how many. They ride on
the batch axis, [replica, K * batch, latent], the cost is called once on all of them, and the
gradient stays one an image, [replica, batch, latent]: `relax.estimators.samples`.

Estimators are pure: noise is an argument, nothing is stepped, `.backward()` is never called, and
the caller's logits receive no gradient by stealth (they are detached on entry). `gradient` is the
estimate of d E[f(b)] / d logits for every sample, so its mean over samples estimates the gradient
and its variance comes free. Where grad mode is on it carries a graph to the surrogate's parameters
φ, which the estimator's objective descends, and through c to whatever the cost is made of: take
the gradient in φ by name (`relax.estimators.learning.learn_surrogates`).

What the latents are says the `relaxation`: Bernoulli, categorical or Gaussian. Shapes are written
for Bernoulli latents; for categorical variables "latent" counts the outcomes of them all, variables
x outcomes, and for Gaussians the logits and the gradient hold means and log standard deviations,
[replica, batch, 2 latent].

The cost `f` maps b, or a relaxed value in [0, 1], of shape [replica, batch, latent] to
[replica, batch]. It is a function of b alone; where f depends on θ directly as well, the caller
adds ∂f/∂θ. A cost with further stochastic layers behind b draws them itself; it then has two more
methods, `relaxed` and `mean_field`, that say how, and give the slope with the value. So may any
cost that knows its derivatives.

What makes estimates fast is elsewhere: `relax.estimators.closed_form`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from relax.estimators.border import bordered
from relax.estimators.variance import variance_objective
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.base import SurrogateSpec, ZeroSurrogate

if TYPE_CHECKING:
    from relax.estimators.closed_form import WrittenOut
    from relax.numerics.signatures import Cost, Generators
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Draw, Relaxation
    from relax.surrogates.base import Surrogate


class Estimate(NamedTuple):
    """What an estimator returns for one noise."""

    sample: Tensor  # b, hard: [replica, batch, latent]; of K: [replica, K * batch, latent]
    cost: Tensor  # f(b): [replica, batch]; of K samples each: [replica, K * batch]
    gradient: Tensor  # estimate of d E[f] / d logits, a sample: [replica, batch, latent]
    learning_signal: Tensor | None = None  # f(b) - c, the score's factor: [replica, batch]
    written_out: WrittenOut | None = (
        None  # what `closed_form.derivatives_in_surrogate` reads, or None
    )
    # Of an objective other than the mean of its samples' costs (`relax.estimators.bound`): the
    # derivative of `cost` in each sample's, [replica, samples * batch].
    weights: Tensor | None = None

    def plus(self, term: Tensor) -> Estimate:
        """The estimate with a term added to its gradient that φ has no part in."""
        gradient = self.gradient + term
        written_out = self.written_out and self.written_out.moved(self.gradient, gradient)
        return self._replace(gradient=gradient, written_out=written_out)

    def held(self, fixed: Tensor) -> Estimate:
        """The estimate with a gradient of zero where `fixed`, bools like it, says so."""
        gradient = self.gradient.masked_fill(fixed, 0.0)
        written_out = self.written_out and self.written_out.held(self.gradient, gradient, fixed)
        return self._replace(gradient=gradient, written_out=written_out)


def control_variate_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """The score function corrected by a control variate c, unbiased for every c:

        g = [f(b) - c(z~)] ∂ log p(b|θ) + ∂c(z) - ∂c(z~)

    Source: Grathwohl et al., 2018 (arXiv 1711.00123), equation 7; the draft's (9) and (10) with
    their signs and the first term put right. Each ∂ is in the logits: the slope ∂c/∂z, times dz~
    for z~, pulled back to them (for Bernoulli latents, ∂z/∂α = 1, it is there already). With
    coupled noise z~ is z in value, and c is evaluated once.

    Args:
        surrogate: c, a module with `value_and_slope(z, cost, context)` -> (c, ∂c/∂z).
        cost: f, [replica, batch, latent] -> [replica, batch].
        logits: [replica, batch, latent].
        noise: `Noise`, independent or coupled.
        context: what the surrogate may see besides z, [replica, batch, feature], or None.
        relaxation: what the latents are.
    """
    logits = logits.detach()
    return corrected(relaxation.draw(logits, noise), surrogate, cost, logits, context, relaxation)


def corrected(
    draw: Draw,
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    context: Tensor | None,
    relaxation: Relaxation,
) -> Estimate:
    """The formula itself, at one `Draw`: the lines that all else here is about."""
    z, b, z_tilde, _, score = draw
    c_tilde, slope_tilde = surrogate.value_and_slope(z_tilde, cost, context)
    slope = slope_tilde if z_tilde is z else surrogate.value_and_slope(z, cost, context)[1]
    f = evaluate(cost, b)
    signal = f.detach() - c_tilde  # f(b) - c(z~)
    correction = relaxation.correction(logits, draw, slope, slope_tilde)  # ∂c(z) - ∂c(z~)
    return Estimate(b, f, signal.unsqueeze(-1) * score + correction, signal)


def no_surrogate(spec: SurrogateSpec, generators: Generators) -> Surrogate:
    """c = 0, for estimators that have nothing to learn."""
    return ZeroSurrogate()


def least_variance(estimate: Estimate) -> Tensor:
    """Σ g², which descends the estimator's variance: [replica]."""
    return variance_objective(estimate.gradient)


def least_squares(estimate: Estimate) -> Tensor:
    """The mean of [f(b) - c]², for a c that is to predict f: [replica]."""
    assert estimate.learning_signal is not None
    return estimate.learning_signal.square().mean(1)


@dataclass(frozen=True)
class Estimator:
    """A surrogate and the rule that turns it into a gradient.

    Attributes:
        estimate: the rule, with the contract at the top of this module; what it is given and what
            it returns is checked (`relax.estimators.border`).
        rule: the same without the checks that look at every number, as it was handed in.
        surrogate: (SurrogateSpec, generators) -> module c.
        objective: `Estimate` -> [replica], what the surrogate's parameters φ descend; by default
            the estimator's own variance.
        sampled: whether the gradient depends on the noise at all.
        samples: SurrogateSpec -> K, how many rows of noise the estimate for one image takes.
    """

    estimate: Callable[..., Estimate] = control_variate_estimate
    surrogate: Callable[[SurrogateSpec, Generators], Surrogate] = no_surrogate
    objective: Callable[[Estimate], Tensor] = least_variance
    sampled: bool = True
    samples: Callable[[SurrogateSpec], int] = lambda spec: 1

    if TYPE_CHECKING:

        @property
        def rule(self) -> Callable[..., Estimate]: ...

    def __post_init__(self):
        make = getattr(self.surrogate, "__wrapped__", self.surrogate)
        object.__setattr__(self, "surrogate", _marked(make))
        rule = getattr(self.estimate, "__wrapped__", self.estimate)
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "estimate", bordered(rule))


def _marked(make):
    """The surrogate's factory, so that the module tells what latents it was made for."""

    @functools.wraps(make, updated=())
    def surrogate(spec, generators):
        made = make(spec, generators)
        made.relaxation = spec.relaxation
        return made

    return surrogate
