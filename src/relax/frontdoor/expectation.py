"""`Expectation`: E[f(b)] in a plain PyTorch loop, differentiable by any estimator."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from relax.errors import ArgumentError
from relax.estimators.registry import load_estimator
from relax.estimators.samples import by_sample, widen
from relax.frontdoor.advice import Circumstances
from relax.frontdoor.costs import UserCost
from relax.frontdoor.latents import Latents
from relax.frontdoor.learning import surrogate_gradients
from relax.frontdoor.link import linked
from relax.frontdoor.noise import draw_noise, new_seed
from relax.frontdoor.surroundings import alone, full_precision, refuse_transforms, uncompiled
from relax.numerics import checks
from relax.numerics.replicas import parameter_generators
from relax.surrogates.base import SurrogateSpec
from relax.surrogates.baselines import ValueFunction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributions import Distribution

    from relax.estimators.formula import Estimator
    from relax.numerics.signatures import Cost


WIDE = (torch.float32, torch.float64)  # what estimates are computed in


class Sampled(NamedTuple):
    """What `Expectation.estimate` returns; constants, without a graph."""

    sample: Tensor  # b, hard: [*batch, *latents]; of several samples [K, *batch, *latents]
    value: Tensor  # f(b): [*batch]
    gradient: Tensor  # estimate of d E[f(b)] / d logits for each: of the logits' shape


class Expectation(nn.Module):
    """E[f(b)] for b drawn with the given logits: called, it returns f(b) with a gradient for them.

        E = relax.Expectation("relax", latents=200, context=784, hidden=(200, 200))
        loss = E(lambda b: -elbo(decoder, x, b), encoder(x), context=x)   # f(b), [batch]
        loss.mean().backward()

    The backward pass gives

    - the logits the estimate of d E[f(b)] / d logits, for each value of f its own, weighted as
      autograd weights any gradient: by the mean, the sum, or whatever reduces the loss;
    - what f is made of (a decoder; the logits, where f contains them) its own gradient at the b
      that was drawn;
    - φ, the parameters of this module, the gradient of the estimator's own objective, mostly its
      variance: the mean over the batch of Σ g² (of (f - c)² for NVIL), and nothing else. How the
      loss is reduced, scaled or weighted has no part in it, and each call counts once: after two
      calls before one step φ has the sum of both.

    Under `torch.no_grad()` and `torch.inference_mode()` it returns f(b) and learns nothing; after
    `eval()` running statistics (NVIL's) stand still.

    Args:
        estimator: a name of the registry (`relax.estimator_names()`).
        latents: how many; a pair (variables, outcomes), or a number of outcomes, if categorical.
        kind: "bernoulli" (logits [..., latents]), "categorical" ([..., outcomes] or [...,
            variables, outcomes]; b is one-hot) or "gaussian" ([..., 2 latents], first the means,
            then the logarithms of the standard deviations). By default categorical if `latents` is
            a pair, else Bernoulli.
        context: how many features the surrogate sees besides b, the `context` of a call.
        samples: K, for an estimator that draws several samples of b; by default two. The value is
            then the mean of f over them (for `vimco` the bound that it is about).
        noise: "coupled" (one evaluation of c) or "independent" (two).
        generator: a `torch.Generator` to draw from; by default torch's own.
        any_leading: f takes b with a further axis in front as well, [samples, *batch, *latents] ->
            [samples, *batch]; estimators that evaluate several b then call it once, not one by one.
        hidden, activation, squash, add_relaxed_cost, temperature, scale, draws: as in
            `relax.SurrogateSpec`; an estimator leaves alone what it does not read.
        dtype: of φ at the start. φ goes where the logits are: it takes on their dtype (float32 for
            half precision) and device in the first call.

    Raises:
        ConfigError: no such estimator.
        ArgumentError: a kind, number or name that is not allowed, or an estimator that cannot run
            on these latents.
    """

    def __init__(
        self,
        estimator: str = "relax",
        latents: int | tuple[int, int] = 1,
        *,
        kind: str | None = None,
        context: int = 0,
        samples: int | None = None,
        noise: str = "coupled",
        generator: torch.Generator | None = None,
        any_leading: bool = False,
        hidden: Sequence[int] = (10,),
        activation: str = "tanh",
        squash: bool | None = None,
        add_relaxed_cost: bool = False,
        temperature: float = 0.5,
        scale: float = 1.0,
        draws: int = 10,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        refuse_transforms()
        if samples is not None:
            checks.count("samples", samples)
        self.latents = Latents(latents, kind)
        self.asked = Circumstances(estimator, self.latents, samples, add_relaxed_cost)
        rule = load_estimator(estimator)
        self.asked.check()
        self.noise = checks.named("noise", noise, ("coupled", "independent"))
        self.context = checks.count("context", context, 0)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ArgumentError(
                f"generator must be a torch.Generator; got {generator!r}: for a seed, "
                "torch.Generator().manual_seed(seed)"
            )
        self.generator, self.any_leading = generator, any_leading
        spec = SurrogateSpec(
            latents=self.latents.flat,
            context=context,
            hidden=hidden,
            activation=activation,
            squash=self.latents.kind != "gaussian" if squash is None else squash,
            add_relaxed_cost=add_relaxed_cost,
            temperature=temperature,
            scale=scale,
            samples=self.asked.several,
            draws=checks.count("draws", draws),
            dtype=dtype or torch.get_default_dtype(),
            relaxation=self.latents.relaxation,
        )
        self.rows = rule.samples(spec)  # of noise, for each b
        self.surrogate = rule.surrogate(spec, parameter_generators([new_seed(generator)]))

        for parameter in self.surrogate.parameters():
            if not parameter.numel():  # of a network that looks at nothing
                parameter.requires_grad_(False)
        self.values = any(isinstance(part, ValueFunction) for part in self.surrogate.modules())

    @property
    def estimator(self) -> Estimator:
        """The `Estimator` of its name: looked up, so that a module can be pickled."""
        return load_estimator(self.asked.name)

    def extra_repr(self) -> str:
        latents = self.latents
        return f"{self.asked.name!r}, latents={latents.argument}, kind={latents.kind!r}"

    @uncompiled
    def forward(
        self, cost: Cost, logits: Tensor | Distribution, context: Tensor | None = None
    ) -> Tensor:
        """f(b) for one b drawn with each row of the logits: [*batch].

        Args:
            cost: f, b [*batch, *latents] -> [*batch]; b one-hot for categorical latents, and
                between 0 and 1 where an estimator asks for f there.
            logits: [*batch, *parameters], or a `torch.distributions` Bernoulli, OneHotCategorical,
                Categorical or Normal.
            context: [*batch, features], what the surrogate may see besides; a constant.

        Each value of f is to be a function of the b in its own row alone: what one row's b does to
        another's value (a normalisation over the batch, negatives from it) is not in the estimate.

        Raises:
            ArgumentError: f returned what it must not, an estimator that cannot do with this f, or
                shapes that do not fit.
        """
        refuse_transforms()
        logits = self.latents.take(logits)
        if not torch.is_grad_enabled() or not (logits.requires_grad or self._learns()):
            return self._value(cost, logits, context)
        made, learned, _ = self._estimate(cost, logits, context)
        if self.training:
            self.surrogate.observe(made.cost.detach())
        gradient = made.gradient.detach().reshape(logits.shape).to(logits.dtype)
        value = self._mean(made.cost, self.latents.batch(logits))
        return linked(value, logits, gradient, learned)

    def estimate(
        self, cost: Cost, logits: Tensor | Distribution, context: Tensor | None = None
    ) -> Sampled:
        """Sample, value and gradient of one draw, for measuring; nothing is learned or changed.

        What it takes is noise, from the generator. The gradient is that through b alone: where f
        contains the logits as well, d f(b) / d logits at fixed b comes on top.

        Returns:
            `Sampled`.
        """
        return self.draw(cost, logits, context)[0]

    @uncompiled
    def draw(
        self, cost: Cost, logits: Tensor | Distribution, context: Tensor | None = None
    ) -> tuple[Sampled, UserCost]:
        """As `estimate`, and the `UserCost` that has counted what was asked of f."""
        refuse_transforms()
        with torch.inference_mode(False):
            logits = self.latents.take(logits)
            logits = logits.clone() if logits.is_inference() else logits.detach()
            # Estimators that differentiate f have a tape for it; none to φ, which is what costs.
            with torch.no_grad():
                made, _, f = self._estimate(cost, logits, context)
        batch = self.latents.batch(logits)
        sampled = Sampled(
            self._copies(made.sample.detach(), batch),
            self._mean(made.cost.detach(), batch),
            made.gradient.detach().reshape(logits.shape),
        )
        return sampled, f

    @uncompiled
    def learn(
        self, cost: Cost, logits: Tensor | Distribution, context: Tensor | None = None
    ) -> None:
        """Add φ's gradient to `.grad`, as a call and its backward pass would, and give no other.

        For tuning φ alone, with the model at rest.
        """
        refuse_transforms()
        with torch.enable_grad():
            made, learned, _ = self._estimate(cost, self.latents.take(logits), context)
        for parameter, gradient in learned:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        if self.training:
            self.surrogate.observe(made.cost.detach())

    def _learns(self):
        return any(p.requires_grad for p in self.surrogate.parameters())

    def _estimate(self, cost, logits, context):
        """The estimate behind the door, and the gradients of its objective in φ, by pairs."""
        batch = self.latents.batch(logits)
        f, wide = self._behind(cost, logits.detach())
        context = self._context(context, batch, wide)
        noise = self._noise(wide, f)
        surroundings = full_precision(f, logits.device.type)
        with surroundings, self.asked.explained(), alone(self, self.asked):
            made = self.estimator.estimate(
                self.surrogate, f, wide, noise, context, self.latents.relaxation
            )
            learned: list[tuple[Tensor, Tensor]] = []
            if torch.is_grad_enabled():
                learned = surrogate_gradients(self.estimator, self.surrogate, made, context)
        return made, learned, f

    def _behind(self, cost, logits):
        """The cost and the logits as the estimators have them; φ comes along."""
        batch = self.latents.batch(logits)
        f = UserCost(cost, batch, self.latents.shape, logits.dtype, self.any_leading)
        wide = logits if logits.dtype in WIDE else logits.float()
        wide = wide.reshape(1, f.rows, self.latents.parameter_count)
        known = next(itertools.chain(self.surrogate.parameters(), self.surrogate.buffers()), wide)
        if known.dtype != wide.dtype or known.device != wide.device:
            self.surrogate.to(device=wide.device, dtype=wide.dtype)
        return f, wide

    def _noise(self, wide, f):
        dtype = self.latents.relaxation.noise_type(wide.dtype)
        shape = (1, self.rows * f.rows, self.latents.flat)
        return draw_noise(shape, dtype, wide.device, self.noise, self.generator)

    def _context(self, context, batch, like):
        """[1, rows, features]; nothing for surrogates that look at nothing."""
        if context is not None and not (isinstance(context, Tensor) and context.dim()):
            raise ArgumentError(
                f"context must be a tensor [*batch, features]; got a {type(context).__name__}"
            )
        features = context.shape[-1] if context is not None else 0
        if features != self.context:
            raise ArgumentError(
                f"context: this Expectation was made with context={self.context} features, and the "
                f"call gives {features or 'none'}; make the two agree"
            )
        if context is None:
            return like.new_zeros(*like.shape[:2], 0) if self.values else None
        if context.shape[:-1] != batch:
            raise ArgumentError(
                f"context must have the leading axes of the logits, {list(batch)}, and then its "
                f"features; got shape {list(context.shape)}"
            )
        context = context.clone() if context.is_inference() else context.detach()
        if not checks.is_finite(context):
            bad = int((~context.isfinite()).sum())
            raise ArgumentError(
                f"context must be finite numbers; {bad} of {context.numel()} are not"
            )
        return context.to(like).reshape(*like.shape[:2], features)

    def _value(self, cost, logits, context):
        """f(b) alone; of several samples their mean, or the bound that is made of them."""
        if "bound" in self.asked.entry.sections and self.rows > 1:
            with torch.no_grad():
                made, _, _ = self._estimate(cost, logits, context)
            return self._mean(made.cost, self.latents.batch(logits))
        with torch.no_grad():
            f, wide = self._behind(cost, logits)
            if not checks.is_finite(wide):
                self.latents.relaxation.check_logits(wide)
            rows = self.asked.several * f.rows
            u = self._noise(wide, f).u[:, :rows]
            b = self.latents.relaxation.hard_sample(widen(wide, rows), u)
        return self._mean(f(b), self.latents.batch(logits))

    def _mean(self, values, batch):
        """[1, copies * rows] -> [*batch]."""
        rows = batch.numel()
        if values.shape[1] > rows:
            values = by_sample(values, rows).mean(1)
        return values.reshape(batch)

    def _copies(self, samples, batch):
        """[1, copies * rows, flat] -> [*batch, *latents], with the copies in front if several."""
        copies = samples.shape[1] // batch.numel()
        shape = (*batch, *self.latents.shape)
        return samples.reshape(copies, *shape) if copies > 1 else samples.reshape(shape)
