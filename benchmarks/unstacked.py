"""The package's formulas for `linear1` without the replica axis, to see what the axis costs.

A training step as the package does it, for REINFORCE, REBAR and RELAX with coupled noise: the same
estimate, the same closed forms, the same Adam, on tensors [batch, width] where the package has
[replica, batch, width]. The one-seed step that somebody would write who knows the package's
formulas and needs no replicas. `tests/unit/test_benchmarks.py` holds it to the package's results.
"""

import torch
from torch import nn
from torch.autograd import Function, grad
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from relax.closed_forms import ACTIVATIONS, Curved
from relax.problems.vae_gradients import direct_gradient
from relax.problems.vae_training import surrogate_groups
from relax.registry import load_estimator
from relax.surrogates import Sum
from relax.training import adam, check_finite


def parameter(stacked):
    """A parameter of the package without its first axis."""
    return nn.Parameter(stacked.detach()[0].clone())


class Linear(nn.Module):
    """[batch, inputs] -> [batch, outputs]; the weight is [inputs, outputs], as in the package."""

    def __init__(self, stacked):
        super().__init__()
        self.weight, self.bias = parameter(stacked.weight), parameter(stacked.bias)

    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight)


class Model(nn.Module):
    """The two linear maps and the prior of `linear1`."""

    def __init__(self, stacked):
        super().__init__()
        self.register_buffer("pixel_mean", stacked.pixel_mean.clone())
        self.encoder = Linear(stacked.encoders[0].layers[0])
        self.decoder = Linear(stacked.decoders[0].layers[0])
        self.prior_logits = parameter(stacked.prior_logits)


class Cost:
    """f of the latents, given the images x and the logits of q."""

    def __init__(self, model, x, logits):
        self.model, self.x = model, x
        prior, logits = model.prior_logits, logits.detach()
        self.factor = logits - prior
        self.offset = softplus(prior).sum(-1) - softplus(logits).sum(-1)

    def __call__(self, b):
        generated = self.model.decoder(2 * b - 1)
        error = binary_cross_entropy_with_logits(generated, self.x, reduction="none").sum(-1)
        return error + (b * self.factor).sum(-1) + self.offset

    def curved(self, y):
        """`Curved` at relaxed latents."""
        weight, bias = self.model.decoder.weight, self.model.decoder.bias
        with torch.no_grad():
            generated = torch.addmm(bias, 2 * y - 1, weight)
            error = binary_cross_entropy_with_logits(generated, self.x, reduction="none").sum(-1)
            delta = torch.sigmoid(generated).sub_(self.x)
            slope = 2 * torch.mm(delta, weight.T) + self.factor
            value = error + (y * self.factor).sum(-1) + self.offset

        def product(v):
            theta = delta + self.x
            bend = torch.mm(4 * v, weight).mul_(torch.addcmul(theta, theta, theta, value=-1))
            return torch.mm(bend, weight.T)

        return Curved(value, slope, product)


class Zero(nn.Module):
    """c = 0."""

    def value_and_slope(self, z, cost, context=None):
        return z.new_zeros(len(z)), torch.zeros_like(z)


class RelaxedCost(nn.Module):
    """η f(σ(z/λ))."""

    def __init__(self, stacked):
        super().__init__()
        self.scale = parameter(stacked.scale)
        self.log_temperature = parameter(stacked.temperature.log_temperature)

    def value_and_slope(self, z, cost, context=None):
        return _RelaxedCost.apply(cost.curved, z, self.log_temperature, self.scale)


class _RelaxedCost(Function):
    """As `relax.closed_forms.relaxed_value_and_slope`, where its derivatives are explained."""

    @staticmethod
    def forward(ctx, curved, z, log_temperature, scale):
        inverse = torch.exp(-log_temperature)
        y = torch.sigmoid(z * inverse)
        dy = torch.addcmul(y, y, y, value=-1).mul_(inverse)
        f = curved(y)
        slope = f.slope * dy
        ctx.saved = f, z, y, dy, slope, inverse, scale
        return f.value * scale, slope * scale

    @staticmethod
    def backward(ctx, g, v):
        f, z, y, dy, slope, inverse, scale = ctx.saved
        along = v * slope
        in_y = f.product(v * dy).addcmul_(g.unsqueeze(-1), f.slope)
        in_y.addcmul_(v * f.slope, (1 - 2 * y) * inverse)
        in_log_temperature = torch.addcmul(along, in_y, dy * z).sum().view(1, 1)
        in_scale = (g * f.value).sum().view(1) + along.sum()
        return None, None, in_log_temperature * -scale, in_scale


class Network(nn.Module):
    """r(z, context), with ReLU."""

    def __init__(self, stacked):
        super().__init__()
        self.layers = nn.ModuleList(Linear(layer) for layer in stacked.layers)

    def value_and_slope(self, z, cost, context=None):
        parameters = [p for layer in self.layers for p in (layer.weight, layer.bias)]
        return _Network.apply(context, z, *parameters)


class _Network(Function):
    """As `relax.closed_forms.Perceptron`, for one output and a second derivative of zero."""

    @staticmethod
    def forward(ctx, context, z, *parameters):
        weights, biases = parameters[::2], parameters[1::2]
        hs, slopes = [torch.cat([context, z], -1)], []
        function, derivative, _ = ACTIVATIONS["relu"]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            a = torch.addmm(bias, hs[-1], weight)
            hs.append(function(a))
            slopes.append(derivative(a, hs[-1]))
        value = torch.addmm(biases[-1], hs[-1], weights[-1])
        of_z = [weights[0][-z.shape[1] :], *weights[1:]]
        deltas, slope = [torch.ones_like(value)], None
        for k in reversed(range(len(weights))):
            slope = torch.mm(deltas[0], of_z[k].T)
            if k:
                deltas.insert(0, slope * slopes[k - 1])
        ctx.saved = of_z, hs, slopes, deltas
        return value.squeeze(-1), slope

    @staticmethod
    def backward(ctx, g, v):
        of_z, hs, slopes, deltas = ctx.saved
        g, tangent, gradients = g.unsqueeze(-1), v, []
        for k, (h, delta) in enumerate(zip(hs, deltas, strict=True)):
            factor = g * h
            factor[:, h.shape[1] - tangent.shape[1] :].add_(tangent)
            gradients += [torch.mm(factor.T, delta), torch.mm(g.T, delta)]
            if k < len(slopes):
                tangent = torch.mm(tangent, of_z[k]) * slopes[k]
        return None, None, *gradients


class Unstacked:
    """A run of `linear1` for one seed, from the parameters of a package's `Trainer`."""

    def __init__(self, trainer):
        settings, (stacked,) = trainer.settings, trainer.surrogates
        self.estimator = load_estimator(settings.estimator)
        self.model = Model(trainer.model)
        if settings.estimator == "reinforce":
            self.surrogate = Zero()
        elif settings.estimator == "rebar":
            self.surrogate = RelaxedCost(stacked)
        else:
            relaxed, network = stacked.parts
            self.surrogate = Sum(RelaxedCost(relaxed), Network(network))
        self.learned = nn.ModuleDict({"model": self.model, "surrogates": self.surrogate})
        model = (self.model.parameters(), settings.learning_rate)
        groups = [model, *surrogate_groups(settings, self.surrogate)]
        self.optimizer = adam(groups, settings.adam_beta2)
        self.parameters, self.phi = (list(m.parameters()) for m in (self.model, self.surrogate))
        self.who = {"seeds": settings.seeds, "estimator": settings.estimator}

    def step(self, step, x, noise):
        """One update; the costs [batch].

        Args:
            step: its number, for the message where a number is not finite.
            x: images, [batch, pixel].
            noise: `Noise`, coupled, [batch, latent].
        """
        context = x - self.model.pixel_mean
        logits = self.model.encoder(context)
        cost = Cost(self.model, x, logits)
        # the package's formula itself: nothing in it asks for a replica axis
        estimate = self.estimator.estimate(self.surrogate, cost, logits, noise, context)
        gradient = estimate.gradient + direct_gradient(logits, estimate.sample)
        check_finite(cost=estimate.cost, gradient=gradient, step=step, **self.who)
        if self.phi:
            weight = gradient.detach() * (2 / len(x))
            for p, g in zip(self.phi, grad(gradient, self.phi, weight), strict=True):
                p.grad = g
        means = [gradient.detach() / len(x), torch.full_like(estimate.cost, 1 / len(x))]
        gradients = grad([logits, estimate.cost], self.parameters, means)
        for p, g in zip(self.parameters, gradients, strict=True):
            p.grad = g
        self.optimizer.step()
        return estimate.cost.detach()
