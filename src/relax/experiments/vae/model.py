"""The discrete VAEs (draft 4.2): a chain of layers of discrete latents between x and a prior.

    q(b_1|x) q(b_2|b_1) ...        p(x|b_1) p(b_1|b_2) ... p(b_L), the top layer's prior learned

Each map is linear, or has two deterministic layers of tanh units, as many in each as there are
latents. In `nonlinear_wide` they are as many as the map has outputs, so that the decoder's are as
wide as the image: what the paper's authors' public code trains under the name of its nonlinear
model (`duvenaud/relax`, binary_vae_multilayer_per_layer.py, `nonlinear_layer`). Latents enter a map
as 2b - 1, in {-1, 1}, and images less the training mean. All parameters are stacked by replica.

The cost is the negative single-sample ELBO in nats, with b_0 = x:

    f(b) = Σ_l [log q(b_l|b_{l-1}) - log p(b_{l-1}|b_l)] - log p(b_L)

Log-probabilities of b under logits α are b α - softplus(α), and extend linearly to relaxed b. Where
the latents are categorical variables, b is one-hot, outcomes of the first variable first, and they
are b·α less the log of Σ e^α of each variable. Latents are Bernoulli in a chain of several layers.
"""

import itertools

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from relax.errors import ConfigError
from relax.estimators.samples import widen
from relax.experiments.vae.above import above
from relax.experiments.vae.error import DeepError, LinearError
from relax.numerics.replicas import StackedMLP
from relax.relaxations.bernoulli import BERNOULLI
from relax.surrogates.closed_forms import Relaxed

# Number of stochastic layers, and of deterministic layers in each map between them.
MODELS = {"linear1": (1, 0), "linear2": (2, 0), "nonlinear": (1, 2), "nonlinear_wide": (1, 2)}
CATEGORICAL_MODELS = [name for name, (stochastic, _) in MODELS.items() if stochastic == 1]


class DiscreteVAE(nn.Module):
    """One of `MODELS`.

    Args:
        name: "linear1", "linear2", "nonlinear" or "nonlinear_wide".
        pixel_mean: mean training image, [pixel], in [0, 1].
        latents: number of latents in a stochastic layer (of categorical variables, variables x
            outcomes), and of units in a deterministic one but for a wide one.
        generators: one random generator a replica.
        relaxation: what the latents are: `BERNOULLI`, or a `Categorical` in `CATEGORICAL_MODELS`.

    Raises:
        ConfigError: this model has no such latents.
    """

    def __init__(self, name, pixel_mean, latents, generators, relaxation=BERNOULLI):
        super().__init__()
        stochastic, self.deterministic = MODELS[name]
        self.relaxation = relaxation
        if relaxation != BERNOULLI and name not in CATEGORICAL_MODELS:
            raise ConfigError(
                f"vae.models: '{name}' has no {relaxation.kind} latents; those that have: "
                f"{', '.join(CATEGORICAL_MODELS)}"
            )
        widths = itertools.pairwise([len(pixel_mean), *[latents] * stochastic])
        pairs = list(widths)

        def maps(ends):
            built = nn.ModuleList()
            for first, last in ends:
                hidden = [last if name == "nonlinear_wide" else latents] * self.deterministic
                built.append(StackedMLP([first, *hidden, last], generators, pixel_mean.dtype))
            return built

        self.register_buffer("pixel_mean", pixel_mean.clone())
        self.encoders = maps(pairs)  # encoders[l] takes layer l's value to the logits of the next
        self.decoders = maps((upper, lower) for lower, upper in pairs)  # and decoders[l] back
        self.prior_logits = nn.Parameter(pixel_mean.new_zeros(len(generators), 1, latents))
        with torch.no_grad():
            # The clamp keeps the logit of a pixel that is never on finite.
            self.decoders[0].layers[-1].bias += torch.logit(pixel_mean.clamp(1e-3, 1 - 1e-3))

    def features(self, layer, value):
        """What the encoder above `layer` sees: x - mean for the images, 2b - 1 for latents."""
        return value - self.pixel_mean if layer == 0 else 2 * value - 1

    def encode(self, layer, value):
        """Logits of the layer above `layer` (0: the images), given its value."""
        return self.encoders[layer](self.features(layer, value))

    def decode(self, layer, value):
        """Logits of `layer` (0: the pixels), given the value of the layer above it."""
        return self.decoders[layer](2 * value - 1)

    def error(self, layer, value, below):
        """-log p(below|value), where `below` is the hard value of `layer`: [replica, batch]."""
        generated = self.decode(layer, value)
        return binary_cross_entropy_with_logits(generated, below, reduction="none").sum(-1)

    def error_at(self, layer, value, below, beside=None, along=None):
        """The same with its derivatives, without a tape: `LinearError` or `DeepError`."""
        layers = self.decoders[layer].layers
        if not self.deterministic:
            return LinearError(layers[0].weight, layers[0].bias, below, value, beside, along)
        parameters = [p for one in layers for p in (one.weight, one.bias)]
        return DeepError(parameters, below, value, along)

    def cost(self, x, logits, noise):
        """f at latents drawn layer by layer with uniforms u: [replica, batch], nats.

        Args:
            x: images, [replica, batch, pixel].
            logits: of q(b_1|x): encoded once, they serve many draws.
            noise: u, one tensor [replica, batch, latent] a stochastic layer.
        """
        b = self.relaxation.hard_sample(logits, noise[0])
        return LayerCost(self, 0, x, logits, noise[1:])(b)


class LayerCost:
    """f as a function of the value of one stochastic layer, given what lies below it.

    The layers above it are drawn from that value with fixed uniforms. Those do not depend on this
    layer's noise, so for each of them f is a function of b, and c of z, and an estimator that is
    unbiased for every pair of functions is unbiased on average. Logits of q count as constants of
    f wherever the value that they come from is hard: what f owes to them directly has mean zero
    (`relax.experiments.vae.gradients.direct_gradient`).

    b and relaxed values may have more rows than what lies below: several samples of each latent
    (`relax.estimators.samples`). All of them see the same image.

    Args:
        model: `DiscreteVAE`.
        layer: the layer below: 0 for the function of b_1.
        below: value of that layer, hard: x or b_l, [replica, batch, width].
        logits: of q for the layer itself.
        noise: u for each layer above, [replica, batch, latent], or as many rows as b has.
        spent: the terms of f from further below, [replica, batch].
    """

    def __init__(self, model, layer, below, logits, noise=(), spent=None):
        self.model, self.layer, self.below, self.spent = model, layer, below, spent
        self.noise, self.last = noise, (None, None)
        self.expected, self.passed = None, (None, None)
        self.factor = logits.detach()
        normaliser = model.relaxation.normaliser(self.factor)
        if noise:
            self.offset = -normaliser.sum(-1)
        else:
            self.factor = self.factor - model.prior_logits
            prior = model.relaxation.normaliser(model.prior_logits)
            self.offset = (prior - normaliser).sum(-1)

    def __call__(self, b):
        """f(b), the layers above it hard: [replica, batch].

        The decoder's gradient is that of the lowest layer's f, which is the same number: for the
        layers above it the model counts as constant.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.spent is None):
            total = self._error(b) + self._linear(b)
            total = total if self.spent is None else total + widen(self.spent, b.shape[1])
            if self.noise:
                self.last = b, total.detach()
                total = total + self._above(b, self.noise, BERNOULLI.hard_sample)
        return total

    def hard_gradient(self, b):
        """f(b), and its slope there at fixed uniforms; what lies above b counts in both."""
        learns = torch.is_grad_enabled() and self.spent is None
        with torch.enable_grad():
            leaf = b.detach().requires_grad_()
            f = self._error(leaf) + self._linear(leaf)
            (slope,) = torch.autograd.grad(f.sum(), leaf, retain_graph=learns)
            if self.noise:
                # On a tape of its own: f's own leads to the decoders, and to nothing else.
                rest = self._above(leaf, self.noise, BERNOULLI.hard_sample)
                slope = slope + torch.autograd.grad(rest.sum(), leaf)[0]
        f = f if learns else f.detach()
        f = f if self.spent is None else f + widen(self.spent, b.shape[1])
        if self.noise:
            self.last = b, f.detach()
            with torch.set_grad_enabled(learns):
                f = f + self._above(b, self.noise, BERNOULLI.hard_sample)
        return f, slope

    def expect(self, b):
        """f(b) will be asked for: it can go with the first relaxed value, in the same products."""
        self.expected = b

    def _error(self, b):
        passed, error = self.passed
        return (
            error.at_beside()
            if passed is b
            else self.model.error(self.layer, b, widen(self.below, b.shape[1]))
        )

    def spend(self, b):
        """The terms of f from below the next layer, for its `spent`, given b: [replica, batch]."""
        if self.last[0] is not b:  # or they are at hand
            with torch.no_grad():
                self(b)
        return self.last[1]

    def relaxed(self, value, inverse, tangent=None):
        """f at a relaxed value, the layers above it σ(z/λ); what it is made of is constant.

        Args:
            inverse: 1/λ, [replica, 1, 1].
            tangent: derivative of the value in log λ, or None where no tangents are wanted.

        Returns:
            `relax.surrogates.closed_forms.Relaxed`.
        """
        with torch.no_grad():
            return self._at(value, inverse, [torch.logit(u) for u in self.noise], tangent)

    def mean_field(self, mean):
        """f(mean), the layers above it at their means, and its slope."""
        still = [torch.zeros_like(mean) for _ in self.noise]
        with torch.no_grad():
            return self._at(mean, mean.new_ones(len(mean), 1, 1), still)[:2]

    def _at(self, value, inverse, logistics, tangent=None):
        own = self._own(value, tangent)
        if not logistics:
            return own
        model, upper = self.model, self.layer + 1
        if len(logistics) == 1 and not model.deterministic:
            layers = model.encoders[upper].layers[0], model.decoders[upper].layers[0]
            rest = above(value, inverse, logistics[0], *layers, model.prior_logits, tangent)
        else:
            rest = self.above_by_tape(value, inverse, logistics, tangent)
        return Relaxed(*(a if b is None else a + b for a, b in zip(own, rest, strict=True)))

    def _own(self, value, tangent=None):
        """The terms of f that the value is in itself, not by way of the layers above."""
        beside, self.expected = self.expected, None
        if beside is not None and beside.shape != value.shape:
            beside = None
        below = widen(self.below, value.shape[1])
        error = self.model.error_at(self.layer, value, below, beside, tangent)
        if beside is not None and isinstance(error, LinearError):
            self.passed = beside, error
        factor = widen(self.factor, value.shape[1])
        f, slope = error.value + self._linear(value), factor + error.slope
        f = f if self.spent is None else f + widen(self.spent, value.shape[1])
        if tangent is None:
            return Relaxed(f, slope)
        return Relaxed(f, slope, (slope * tangent).sum(-1), error.along)

    def above_by_tape(self, value, inverse, logistics, tangent=None):
        """What the relaxed layers above add, as `_at`, by automatic differentiation."""

        def relax(logits, logistic):
            return torch.sigmoid((logits + logistic) * each)

        with torch.enable_grad():
            value = value.detach().requires_grad_()
            each = inverse.detach().expand(-1, value.shape[1], -1).requires_grad_()
            f = self._above(value, logistics, relax)
            learns = tangent is not None
            slope, in_inverse = torch.autograd.grad(f.sum(), (value, each), create_graph=learns)
            if not learns:
                return Relaxed(f.detach(), slope)
            # The slope's tangent is the tangent's slope; that of 1/λ is -1/λ.
            of_f = (slope * tangent).sum(-1) - (in_inverse * each.detach()).sum(-1)
            (of_slope,) = torch.autograd.grad(of_f.sum(), value)
        return Relaxed(f.detach(), slope.detach(), of_f.detach(), of_slope)

    def _linear(self, value):
        """log q(value), less log p(value) where this is the top layer: [replica, batch]."""
        factor, offset = (widen(each, value.shape[1]) for each in (self.factor, self.offset))
        return (value * factor).sum(-1) + offset

    def _above(self, value, noise, draw):
        """The terms of f from the layers above, each drawn from the one below: draw(logits, u)."""
        model, prior = self.model, self.model.prior_logits
        total, top = softplus(prior).sum(-1), len(model.encoders) - 1
        for layer, u in enumerate(noise, self.layer + 1):
            relaxed = value.requires_grad
            with torch.set_grad_enabled(relaxed):
                logits = model.encode(layer, value)
            below, value = value, draw(logits, widen(u[:, : logits.shape[1]], logits.shape[1]))
            factor = logits - prior if layer == top else logits
            # One sum over all that is added up: the tape is taken through it twice.
            terms = value * factor - softplus(logits)
            if relaxed:
                generated = model.decode(layer, value)
                terms = terms + (softplus(generated) - below * generated)
            else:
                total = total + model.error(layer, value, below)
            total = total + terms.sum(-1)
        return total
