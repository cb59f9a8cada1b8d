"""The reference: a training step of the discrete VAE as one would write it from the paper.

Plain eager PyTorch for one seed, what the package is compared with, in numbers and in speed: no
replica axis, tensors [batch, width], automatic differentiation wherever there is a derivative, and
the surrogate evaluated at z and again at z~. Nothing here is tuned, and nothing made slow on
purpose. It learns what the package learns: `tests/unit/test_benchmarks.py` holds both to the same
parameters after 200 steps.
"""

import itertools

import torch
from reference_surrogates import MLP, SURROGATES, log_prob
from torch import nn
from torch.autograd import grad

# Number of stochastic layers, and of tanh layers in each map between them.
MODELS = {"linear1": (1, 0), "linear2": (2, 0), "nonlinear": (1, 2)}


class VAE(nn.Module):
    """q(b_1|x) q(b_2|b_1) ..., p(x|b_1) p(b_1|b_2) ... p(b_L); latents enter a map as 2b - 1."""

    def __init__(self, model, pixel_mean, latents):
        super().__init__()
        stochastic, deterministic = MODELS[model]
        ends = list(itertools.pairwise([len(pixel_mean), *[latents] * stochastic]))
        hidden = [latents] * deterministic
        self.register_buffer("pixel_mean", pixel_mean.clone())
        self.encoders = nn.ModuleList(MLP([low, *hidden, up], torch.tanh) for low, up in ends)
        self.decoders = nn.ModuleList(MLP([up, *hidden, low], torch.tanh) for low, up in ends)
        self.prior_logits = nn.Parameter(torch.zeros(latents))

    def features(self, layer, value):
        """What the encoder above `layer` (0: the image) sees."""
        return value - self.pixel_mean if layer == 0 else 2 * value - 1

    def cost(self, x, values, logits):
        """f, the negative ELBO [batch] of values of all stochastic layers and their logits of q."""
        total, below = 0, x
        for decoder, value, q in zip(self.decoders, values, logits, strict=True):
            total = total + log_prob(q, value) - log_prob(decoder(2 * value - 1), below)
            below = value
        return total - log_prob(self.prior_logits.expand_as(below), below)

    def cost_above(self, layer, value, x, values, logits, draw):
        """f with `value` for the stochastic layer `layer`, hard `values` below it.

        The layers above are drawn from it: draw(logits of q, layer).
        """
        values, logits = [*values[:layer], value], list(logits[: layer + 1])
        for upper in range(layer + 1, len(self.encoders)):
            logits.append(self.encoders[upper](2 * values[-1] - 1))
            values.append(draw(logits[-1], upper))
        return self.cost(x, values, logits)


def conditional_sample(logits, b, u, v=None):
    """z~ given b, through v' as in the REBAR paper's appendix: [batch, latent].

    Without v the noise is coupled: v is the number, a constant to the gradient, that takes z~ to
    the value of z.
    """
    theta, smallest = torch.sigmoid(logits), torch.finfo(logits.dtype).eps
    one = b > 0.5
    if v is None:
        t = theta.detach()
        v = torch.where(one, (u - (1 - t)) / t, u / (1 - t)).clamp(smallest, 1 - smallest)
    v_prime = torch.where(one, v * theta + (1 - theta), v * (1 - theta))
    return logits + torch.logit(v_prime.clamp(smallest, 1 - smallest))


class Reference:
    """A VAE, its surrogates and their Adam, for one seed.

    Args:
        settings: `VAESettings` of the package, of one seed.
        images: `Images`.
        dtype: of everything.
    """

    def __init__(self, settings, images, dtype=torch.float32):
        pixels, latents, spec = images.train.shape[1], settings.latents, settings.spec
        self.estimator, self.network_alone = settings.estimator, not spec.add_relaxed_cost
        self.vae = VAE(settings.model, images.mean, latents).to(dtype)
        contexts = [pixels + layer * latents for layer in range(len(self.vae.encoders))]
        self.surrogates = nn.ModuleList(
            SURROGATES[self.estimator](spec, context, latents) for context in contexts
        ).to(dtype)
        self.learned = nn.ModuleDict({"model": self.vae, "surrogates": self.surrogates})
        self.encoder = list(self.vae.encoders.parameters())
        self.decoder = [*self.vae.decoders.parameters(), self.vae.prior_logits]
        named = list(self.surrogates.named_parameters())
        self.phi = [p for _, p in named if p.requires_grad]
        rate = settings.learning_rate
        phi_rate = rate * settings.surrogate_learning_rate_scale
        weights = [p for name, p in named if name.endswith("weight")]
        others = [p for name, p in named if p.requires_grad and not name.endswith("weight")]
        groups = [
            {"params": [*self.encoder, *self.decoder], "lr": rate},
            {"params": weights, "lr": phi_rate, "weight_decay": settings.surrogate_weight_decay},
            {"params": others, "lr": phi_rate},
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, settings.adam_beta2))

    def step(self, x, u, v=None):
        """One update of θ and φ; the costs [batch].

        Args:
            x: images, [batch, pixel].
            u, v: noise, [batch, layers x latents]; without v it is coupled.
        """
        vae, layers = self.vae, len(self.vae.encoders)
        us, vs = u.chunk(layers, -1), [None] * layers if v is None else v.chunk(layers, -1)
        below, context = x, x.new_zeros(len(x), 0)
        values, logits, zs, contexts = [], [], [], []
        for layer in range(layers):
            features = vae.features(layer, below)
            context = torch.cat([context, features], -1)
            logits.append(vae.encoders[layer](features))
            zs.append(logits[-1] + torch.logit(us[layer]))
            below = (zs[-1] > 0).to(x.dtype)
            values.append(below)
            contexts.append(context)
        f = vae.cost(x, values, logits)
        # f depends on θ through log q as well: ∂f/∂logits at fixed b
        direct = grad(f.sum(), logits, retain_graph=True)
        gradients, objective = [], 0
        for layer in range(layers):
            parts = (layer, f.detach(), x, values, logits, zs, us, vs, contexts[layer])
            gradient, loss = ESTIMATES[self.estimator](self, *parts)
            gradients.append(gradient + direct[layer])
            # what φ descends: g², unless the estimator says otherwise
            objective = objective + (gradients[-1].square().mean(0).sum() if loss is None else loss)
        phi = grad(objective, self.phi, retain_graph=True) if self.phi else ()
        decoder = grad(f.mean(), self.decoder, retain_graph=True)
        encoder = grad(logits, self.encoder, [g.detach() / len(x) for g in gradients])
        learned = (*self.phi, *self.decoder, *self.encoder)
        for parameter, g in zip(learned, (*phi, *decoder, *encoder), strict=True):
            parameter.grad = g
        self.optimizer.step()
        for surrogate in self.surrogates:
            surrogate.observe(f.detach())
        return f.detach()

    def relaxed_cost(self, layer, z, x, values, logits, us):
        """f with the layer's σ(z/λ), the layers above it relaxed at the same temperature."""
        inverse = torch.exp(-self.surrogates[layer].log_temperature)

        def draw(q, upper):
            return torch.sigmoid((q + torch.logit(us[upper])) * inverse)

        value = torch.sigmoid(z * inverse)
        return self.vae.cost_above(layer, value, x, values, logits, draw)

    def score_function(self, layer, f, x, values, logits, *_):
        """REINFORCE: f ∂ log q."""
        (score,) = grad(log_prob(logits[layer], values[layer]).sum(), logits[layer])
        return f.unsqueeze(-1) * score, None

    def control_variate(self, layer, f, x, values, logits, zs, us, vs, context):
        """REBAR and RELAX: [f - c(z~)] ∂ log q + ∂c(z) - ∂c(z~)."""
        q, b, surrogate = logits[layer], values[layer], self.surrogates[layer]
        if vs[layer] is not None:
            # c(z) and c(z~) contain log q, which depends on the logits beside z. With coupled noise
            # the two dependences cancel; with independent noise they do on average only, and the
            # package leaves them out.
            logits = [q.detach() for q in logits]
        cs = []
        for z in (zs[layer], conditional_sample(q, b, us[layer], vs[layer])):
            c = 0
            if self.estimator == "rebar" or not self.network_alone:
                c = surrogate.scale * self.relaxed_cost(layer, z, x, values, logits, us)
            if self.estimator == "relax":
                c = c + surrogate.network(torch.cat([context, z], -1)).squeeze(-1)
            cs.append(c)
        c, c_tilde = cs
        (score,) = grad(log_prob(q, b).sum(), q, retain_graph=True)
        (correction,) = grad((c - c_tilde).sum(), q, create_graph=True)
        return (f - c_tilde).unsqueeze(-1) * score + correction, None

    def pathwise(self, layer, f, x, values, logits, zs, us, *_):
        """Concrete: ∂f(σ(z/λ)) in z."""
        z = zs[layer]
        c = self.relaxed_cost(layer, z, x, values, logits, us)
        return grad(c.sum(), z)[0], None

    def taylor(self, layer, f, x, values, logits, *_):
        """MuProp: f expanded around the mean, the layers above it at their means."""
        b, scale = values[layer], self.surrogates[layer].scale
        (score,) = grad(log_prob(logits[layer], b).sum(), logits[layer], retain_graph=True)
        mean = torch.sigmoid(logits[layer]).detach().requires_grad_()
        value = self.vae.cost_above(layer, mean, x, values, logits, lambda q, _: torch.sigmoid(q))
        (slope,) = grad(value.sum(), mean)
        c = scale * (value.detach() + (slope * (b - mean)).sum(-1))
        expectation = scale * slope * mean.detach() * (1 - mean.detach())
        return (f - c).unsqueeze(-1) * score + expectation, None

    def baseline(self, layer, f, x, values, logits, zs, us, vs, context):
        """NVIL: [f - c(x)] ∂ log q, and the squared error that c descends."""
        c = self.surrogates[layer](context)
        (score,) = grad(log_prob(logits[layer], values[layer]).sum(), logits[layer])
        return (f - c.detach()).unsqueeze(-1) * score, (f - c).square().mean()


ESTIMATES = {
    "reinforce": Reference.score_function,
    "rebar": Reference.control_variate,
    "relax": Reference.control_variate,
    "concrete": Reference.pathwise,
    "muprop": Reference.taylor,
    "nvil": Reference.baseline,
}
