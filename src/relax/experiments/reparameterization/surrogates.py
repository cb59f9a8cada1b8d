"""c of positive variables: a linear part and a network."""

import torch
from torch import nn

from relax.numerics.replicas import StackedMLP, uniform_parameter
from relax.surrogates.base import Surrogate
from relax.surrogates.perceptron import ACTIVATIONS


def features(z):
    """log z, z and z²: [replica, batch, latent] -> [replica, batch, 3 latent]."""
    return torch.cat([torch.log(z), z, z.square()], -1)


def law_of_features(parameters):
    """Mean and deviation of the features of Gamma variables, [replica, batch, 3 latent] each."""
    alpha, beta = parameters.chunk(2, -1)
    second = alpha * (alpha + 1) / beta.square()
    of_second = second.square() * ((alpha + 2) * (alpha + 3) / (alpha * (alpha + 1)) - 1)
    mean = [torch.digamma(alpha) - torch.log(beta), alpha / beta, second]
    variance = [torch.polygamma(1, alpha), alpha / beta.square(), of_second]
    return torch.cat(mean, -1), torch.cat(variance, -1).sqrt()


class OfFeatures(Surrogate):
    """c(z) = η f(z) + unit [w·y + r(y, context)], y the features standardised by their law.

    w, r's last layer and with them c, but for η f, start at zero; η is learned where it is given.

    Args:
        generators: one a replica.
        parameters: of the Gamma variables, [replica, 1 or batch, 2 latent]; see `see`.
        unit: the size of f's deviations, [replica, 1].
        hidden, activation: of r.
        context: features that r sees besides.
        scale: η at the start, or None: f is never evaluated.
    """

    def __init__(self, generators, parameters, unit, *, hidden, activation, context=0, scale=None):
        super().__init__()
        self.unit = unit
        self.see(parameters)
        inputs, dtype = self.centre.shape[-1], self.centre.dtype
        widths = [inputs + context, *hidden, 1]
        self.network = StackedMLP(widths, generators, dtype, ACTIVATIONS[activation].function)
        nn.init.zeros_(self.network.layers[-1].weight)
        self.linear = uniform_parameter(generators, (inputs, 1), 0.0, dtype)
        self.scale = None
        if scale is not None:
            self.scale = nn.Parameter(torch.full((len(generators), 1), scale, dtype=dtype))

    def see(self, parameters):
        """Standardise the features by the law that these parameters give; constants in c."""
        self.centre, self.spread = law_of_features(parameters.detach())

    def forward(self, z, cost, context=None):
        y = (features(z) - self.centre) / self.spread
        seen = y if context is None else torch.cat([context, y], -1)
        c = self.unit * (torch.bmm(y, self.linear) + self.network(seen)).squeeze(-1)
        return c if self.scale is None else c + self.scale * cost(z)
