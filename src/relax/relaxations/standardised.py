"""Gamma and Beta variables by a standardised logarithm or logit, whose law keeps little of ν.

With ψ the digamma function and ψ₁, ψ₂ its derivatives (Ruiz et al., 2016, section 4):

    Gamma(α, rate β)    ε = (log βz - ψ(α)) / √ψ₁(α)
    Beta(a, b)          ε = (logit z - ψ(a) + ψ(b)) / √(ψ₁(a) + ψ₁(b))

ε has mean 0 and variance 1 whatever the parameters are; its shape moves with them, and s says how.
A Dirichlet variable is (z_1, ..., z_k) / Σ z of Gammas with one rate: write the cost of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from relax.relaxations.transformations import Path, Transformation, _drawn

if TYPE_CHECKING:
    from torch import Tensor

    from relax.numerics.signatures import Generators

# Concentrations down to which no mass is lost: the least number that a float64 can be, 2e-308, to
# the power of this is 4e-16.
LEAST = 0.05


def _psi(order, x):
    """ψ, ψ₁ and ψ₂."""
    return torch.digamma(x) if order == 0 else torch.polygamma(order, x)


class Gamma(Transformation):
    """Gamma variables, of parameters concentration α and rate β: density β^α z^{α-1} e^{-βz}/Γ(α).

    With x = βz and ℓ = ∂ log z/∂α at fixed ε = ψ₁ + ε ψ₂/(2√ψ₁),

        h = (z ℓ, -z/β),    s = (ℓ (α - x) + ε √ψ₁ + ψ₂/(2ψ₁), 0):

    a rate is a scale, which the transformation takes out.
    """

    names, above = ("concentration", "rate"), {"concentration": 0.0, "rate": 0.0}
    resolved: ClassVar[dict[str, float]] = {"concentration": LEAST}
    support = (0.0, torch.inf)

    def sample(self, parameters: Tensor, generators: Generators) -> Tensor:
        concentration, rate = self.split(parameters)
        wide = concentration.cpu().numpy()
        z = _drawn(generators, rate.shape, lambda g, row: g.standard_gamma(wide[row]), rate.dtype)
        # A small concentration draws numbers below the least that a float can be.
        return z.clamp(min=torch.finfo(rate.dtype).tiny) / rate

    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        concentration, rate = self.split(parameters)
        spread = torch.sqrt(_psi(1, concentration))
        return torch.exp(_psi(0, concentration) + epsilon * spread) / rate

    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        concentration, rate = self.split(parameters)
        return (torch.log(rate * z) - _psi(0, concentration)) / torch.sqrt(_psi(1, concentration))

    def log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        concentration, rate = self.split(parameters)
        log = torch.log(rate * z)
        return concentration * log - rate * z - torch.lgamma(concentration) - torch.log(z)

    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        concentration, _ = self.split(parameters)
        return torch.log(z) + 0.5 * torch.log(_psi(1, concentration))

    def score(self, parameters: Tensor, z: Tensor) -> Path:
        concentration, rate = self.split(parameters)
        of_concentration = torch.log(rate * z) - _psi(0, concentration)
        weight = torch.cat([of_concentration, concentration / rate - z], -1)
        return Path(torch.zeros_like(weight), weight)

    def path(self, parameters: Tensor, z: Tensor) -> Path:
        concentration, rate = self.split(parameters)
        first, second = _psi(1, concentration), _psi(2, concentration)
        away = torch.log(rate * z) - _psi(0, concentration)  # ε √ψ₁
        ell = first + away * second / (2 * first)
        weight = ell * (concentration - rate * z) + away + second / (2 * first)
        slope = torch.cat([z * ell, -z / rate], -1)
        return Path(slope, torch.cat([weight, torch.zeros_like(weight)], -1))

    def implicit(self, parameters: Tensor, z: Tensor) -> Path:
        """By the power series of the distribution function P(α, x), differentiated term by term.

        P/q = (x/α) Σ t_n with t_n = x^n / ((α+1) ... (α+n)), and so

            -∂_α P/q = (x/α) Σ t_n [ψ(α + n + 1) - log x].

        Far out to the right, where its terms cancel, it is the integral over the tail.
        """
        concentration, rate = self.split(parameters)
        x = rate * z
        far = x > concentration + 5 * torch.sqrt(concentration) + 10
        series = _series(concentration, torch.where(far, concentration, x)) / rate
        if far.any():
            chosen = [p.expand_as(z)[far].view(1, -1, 1) for p in (concentration, rate)]
            exact = super().implicit(torch.cat(chosen, -1), z[far].view(1, -1, 1)).slope
            series = series.masked_scatter(far, exact[..., :1])
        slope = torch.cat([series, -z / rate], -1)
        return Path(slope, torch.zeros_like(slope))


def _series(concentration, x):
    """(x/α) Σ t_n [ψ(α + n + 1) - log x]."""
    bracket = _psi(0, concentration + 1) - torch.log(x)
    term, total, largest = torch.ones_like(x), bracket.clone(), torch.ones_like(x)
    n = 0
    while (term > torch.finfo(x.dtype).eps / 4 * largest).any():
        n += 1
        divisor = concentration + n
        term = term * (x / divisor)
        bracket = bracket + 1 / divisor
        total = total + term * bracket
        largest = torch.maximum(largest, term)
    return x / concentration * total


class Beta(Transformation):
    """Beta variables, of parameters a and b: density z^{a-1} (1-z)^{b-1} / B(a, b).

    With y = logit z, σ² = ψ₁(a) + ψ₁(b) and ∂y at fixed ε, which is ψ₁(a) + ε ψ₂(a)/(2σ) in a and
    -ψ₁(b) + ε ψ₂(b)/(2σ) in b,

        h = z (1 - z) ∂y,    s = (a (1 - z) - b z) ∂y + ∂ log q(z; ν) + ∂ log σ.
    """

    names, above = ("a", "b"), {"a": 0.0, "b": 0.0}
    resolved: ClassVar[dict[str, float]] = {"a": LEAST, "b": LEAST}
    support = (0.0, 1.0)

    def sample(self, parameters: Tensor, generators: Generators) -> Tensor:
        a, b = (p.cpu().numpy() for p in self.split(parameters))
        shape = (*parameters.shape[:-1], parameters.shape[-1] // 2)
        z = _drawn(generators, shape, lambda g, row: g.beta(a[row], b[row]), parameters.dtype)
        numbers = torch.finfo(parameters.dtype)
        return z.clamp(numbers.tiny, 1 - numbers.eps / 2)

    def _law(self, parameters):
        """Mean and deviation of logit z."""
        a, b = self.split(parameters)
        return _psi(0, a) - _psi(0, b), torch.sqrt(_psi(1, a) + _psi(1, b))

    def forward(self, parameters: Tensor, epsilon: Tensor) -> Tensor:
        mean, deviation = self._law(parameters)
        return torch.sigmoid(mean + deviation * epsilon)

    def inverse(self, parameters: Tensor, z: Tensor) -> Tensor:
        mean, deviation = self._law(parameters)
        return (torch.logit(z) - mean) / deviation

    def log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        a, b = self.split(parameters)
        log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        return (a - 1) * torch.log(z) + (b - 1) * torch.log1p(-z) - log_beta

    def log_stretch(self, parameters: Tensor, z: Tensor) -> Tensor:
        return torch.log(z) + torch.log1p(-z) + torch.log(self._law(parameters)[1])

    def score(self, parameters: Tensor, z: Tensor) -> Path:
        a, b = self.split(parameters)
        both = _psi(0, a + b)
        of_a, of_b = torch.log(z) - _psi(0, a) + both, torch.log1p(-z) - _psi(0, b) + both
        weight = torch.cat([of_a, of_b], -1)
        return Path(torch.zeros_like(weight), weight)

    def path(self, parameters: Tensor, z: Tensor) -> Path:
        a, b = self.split(parameters)
        epsilon, (_, deviation) = self.inverse(parameters, z), self._law(parameters)
        score = self.score(parameters, z).weight.chunk(2, -1)
        slopes, weights = [], []
        for own, sign, of_score in ((a, 1, score[0]), (b, -1, score[1])):
            moved = sign * _psi(1, own) + epsilon * _psi(2, own) / (2 * deviation)
            slopes.append(z * (1 - z) * moved)
            spread = _psi(2, own) / (2 * deviation.square())
            weights.append((a * (1 - z) - b * z) * moved + of_score + spread)
        return Path(torch.cat(slopes, -1), torch.cat(weights, -1))
