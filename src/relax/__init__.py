"""Unbiased, low-variance gradient estimators for discrete latent variables.

The names below load on first use, so that `import relax` (and with it the Snakefile and the
figures) costs nothing: torch is imported only when an estimator is touched.

>>> import relax
>>> rebar = relax.load_estimator("rebar")
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "Expectation": "frontdoor.expectation",
    "compare": "frontdoor.compare",
    "Bernoulli": "relaxations.bernoulli",
    "Categorical": "relaxations.categorical",
    "Gaussian": "relaxations.gaussian",
    "PlackettLuce": "relaxations.plackett_luce",
    "Joint": "relaxations.joint",
    "Normal": "relaxations.transformations",
    "Gamma": "relaxations.standardised",
    "Beta": "relaxations.standardised",
    "path_estimate": "estimators.reparameterization",
    "Noise": "numerics.streams",
    "NoiseStream": "numerics.streams",
    "Estimate": "estimators.formula",
    "Estimator": "estimators.formula",
    "control_variate_estimate": "estimators.formula",
    "pathwise_estimate": "estimators.concrete",
    "learn_surrogates": "estimators.learning",
    "load_estimator": "estimators.registry",
    "estimator_names": "estimators.registry",
    "SurrogateSpec": "surrogates.base",
    "RelaxedCost": "surrogates.relaxed_cost",
    "Network": "surrogates.network",
    "ZeroSurrogate": "surrogates.base",
    "uniform_noise": "numerics.streams",
    "parameter_generators": "numerics.replicas",
    "variance_objective": "estimators.variance",
    "sample_moments": "estimators.variance",
    "enumerate_gradient": "exact.enumeration",
    "exact_moments": "exact.quadrature",
    "least_variance": "exact.optimal",
    "best_scale": "exact.optimal",
    "ProductBasis": "exact.optimal",
    "RelaxError": "errors",
    "ArgumentError": "errors",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'relax' has no attribute '{name}'")
    return getattr(importlib.import_module(f"relax.{_HOME[name]}"), name)


def __dir__():
    return [*globals(), *__all__]
