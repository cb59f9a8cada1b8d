"""What earlier estimators assume of the cost, measured on a VAE halfway through its training.

REBAR assumes that f at a relaxed input goes with f at b; MuProp that f is nearly linear in b, so
that its expansion at the mean does; NVIL that x predicts f. Each is a share of f's variance: what
the best affine function of the predictor leaves out is 1 minus it.

    REBAR     ρ²(f(b), f(σ(z/λ))) over the noise at fixed x, λ as tuned; mean over images
    MuProp    ρ²(f(b), f(θ) + f'(θ)·(b - θ)), the same
    NVIL      Var_x(E[f|x]) / Var(f), over images and noise; unbiased in the numerator

ρ² is the squared correlation. The b is that of the lowest stochastic layer, and the layers above
are drawn from it.
"""

import torch

from relax.experiments.vae.gradients import layer_noise
from relax.experiments.vae.model import LayerCost
from relax.surrogates.relaxed_cost import RelaxedCost


def squared_correlation(one, other):
    """ρ² over the first axis: [draw, ...] twice -> [...]."""
    one, other = one - one.mean(0), other - other.mean(0)
    product = (one * other).mean(0).square()
    return product / (one.square().mean(0) * other.square().mean(0)).clamp(min=1e-30)


def between_share(values):
    """Share of the variance of values [draw, replica, batch] that lies between images: [replica].

    The variance of the images' means holds 1/draws of that within them, which is taken off.
    """
    within = values.var(0).mean(-1)
    between = values.mean(0).var(-1) - within / len(values)
    return between.clamp(min=0) / (between.clamp(min=0) + within)


def assumptions(frozen, minibatches, draws):
    """{estimator: share [replica]} of a tuned `FrozenRun` of REBAR, on the noise of `variance`."""
    model, relaxation = frozen.model, frozen.model.relaxation
    relaxed = next(m for m in frozen.surrogates[0].modules() if isinstance(m, RelaxedCost))
    found = {"rebar": 0.0, "muprop": 0.0, "nvil": 0.0}
    with torch.no_grad():
        inverse = relaxed.temperature.inverse()
        for minibatch in range(minibatches):
            x = frozen.fixed_batches(minibatch)
            logits, costs, at_relaxed, expansions = model.encode(0, x), [], [], []
            mean = relaxation.mean(logits)
            for draw in range(draws):
                noise, *above = layer_noise(
                    frozen.fresh_noise(minibatch * draws + draw), len(model.encoders)
                )
                z = relaxation.sample(logits, noise.u)
                b = relaxation.threshold(z)
                cost = LayerCost(model, 0, x, logits, [each.u for each in above])
                value, slope = cost.mean_field(mean)
                costs.append(cost(b))
                at_relaxed.append(cost.relaxed(relaxation.relax(z, inverse), inverse)[0])
                expansions.append(value + (slope * (b - mean)).sum(-1))
            costs = torch.stack(costs).double()
            for name, others in (("rebar", at_relaxed), ("muprop", expansions)):
                rho = squared_correlation(costs, torch.stack(others).double())
                found[name] = found[name] + rho.mean(-1).cpu() / minibatches
            found["nvil"] = found["nvil"] + between_share(costs).cpu() / minibatches
    return found
