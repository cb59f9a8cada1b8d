"""What `relax.Expectation` costs: a step through it, beside the same step by inner functions.

A VAE with one layer of latents, of MNIST's size, in plain torch: once with the front door, once
with the estimator, its surrogate and the rule for φ called directly, as `docs/extending.md` shows.
"""

import pandas as pd
import torch
from cases import BATCH, HIDDEN, LATENTS, PIXELS
from timing import rate, ratio, slice_steps, timed_rounds
from torch import nn
from torch.nn.functional import softplus

import relax
from relax.numerics.optimizers import adam

ESTIMATORS = ("reinforce", "rebar", "relax")
SURROGATE = {"hidden": HIDDEN, "activation": "relu", "squash": False, "add_relaxed_cost": True}


class Model(nn.Module):
    """Encoder, decoder and prior; `error` is the negative bound."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(PIXELS, LATENTS), nn.Linear(LATENTS, PIXELS)
        self.prior = nn.Parameter(torch.zeros(LATENTS))

    def error(self, x, logits, b):
        """-log p(x, b) + log q(b|x): [..., batch]."""
        output = self.decoder(2 * b - 1)
        bits = b * (logits - self.prior) - softplus(logits) + softplus(self.prior)
        return bits.sum(-1) - (x * output - softplus(output)).sum(-1)


class FrontDoor:
    """Steps through `relax.Expectation`."""

    def __init__(self, estimator, x):
        torch.manual_seed(0)
        self.model, self.x = Model(), x
        self.E = relax.Expectation(estimator, LATENTS, context=PIXELS, **SURROGATE)
        self.optimizer = adam([([*self.model.parameters(), *self.E.parameters()], 1e-3)])

    def __call__(self, steps):
        for _ in range(steps):
            logits = self.model.encoder(self.x)
            self.optimizer.zero_grad()

            def cost(b, logits=logits):
                return self.model.error(self.x, logits, b)

            loss = self.E(cost, logits, context=self.x)
            loss.mean().backward()
            self.optimizer.step()


class InnerFunctions:
    """The same steps by the estimator itself, with its replica axis."""

    def __init__(self, estimator, x):
        torch.manual_seed(0)
        self.model, self.x = Model(), x
        self.estimator = relax.load_estimator(estimator)
        spec = relax.SurrogateSpec(LATENTS, PIXELS, dtype=torch.float32, **SURROGATE)
        self.surrogate = self.estimator.surrogate(spec, relax.parameter_generators([0]))
        learned = [*self.model.parameters(), *self.surrogate.learned_parameters()]
        self.optimizer = adam([(learned, 1e-3)])

    def __call__(self, steps):
        x = self.x.unsqueeze(0)
        for _ in range(steps):
            logits = self.model.encoder(x)
            noise = relax.Noise(torch.rand(logits.shape))
            self.optimizer.zero_grad()

            def cost(b, logits=logits):
                return self.model.error(x, logits, b)

            made = self.estimator.estimate(self.surrogate, cost, logits, noise, x)
            relax.learn_surrogates(self.estimator, [self.surrogate], [made])
            # f's own parameters, and the logits: by the direct term and by the estimate.
            torch.autograd.backward(
                [made.cost, logits],
                [torch.full_like(made.cost, 1 / BATCH), made.gradient.detach() / BATCH],
            )
            self.optimizer.step()


def front_door(repeats, rounds, seconds):
    """A row an estimator: per_second, low, high of the front door; to_inner, the ratio of times."""
    x = (torch.rand(BATCH, PIXELS, generator=torch.Generator().manual_seed(0)) < 0.13).float()
    runs = {}
    for name in ESTIMATORS:
        runs["door", name], runs["inner", name] = FrontDoor(name, x), InnerFunctions(name, x)
    steps = {name: slice_steps(run, seconds) for name, run in runs.items()}
    turns = [timed_rounds(runs, steps, rounds) for _ in range(repeats)]
    times, rows = pd.concat(turns, ignore_index=True), []
    for name in ESTIMATORS:
        own = times["door", name]
        per_second, low, high = rate(own, repeats)
        found = {"per_second": per_second, "low": low, "high": high}
        to_inner = ratio(own, times["inner", name])
        rows.append({"estimator": name, "replicas": 1, **found, "to_inner": to_inner})
    return pd.DataFrame(rows)
