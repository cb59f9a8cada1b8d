"""Unbiased, low-variance gradient estimators for discrete latent variables.

The names below load on first use, so that `import relax` (and with it the Snakefile and the
figures) costs nothing: torch is imported only when an estimator is touched.

>>> import relax
>>> rebar = relax.load_estimator("rebar")
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "Bernoulli": "relaxations",
    "Categorical": "categorical",
    "Gaussian": "gaussian",
    "Noise": "streams",
    "NoiseStream": "streams",
    "Estimate": "estimators.formula",
    "Estimator": "estimators.formula",
    "control_variate_estimate": "estimators.formula",
    "pathwise_estimate": "estimators.formula",
    "load_estimator": "registry",
    "estimator_names": "registry",
    "SurrogateSpec": "surrogates",
    "RelaxedCost": "surrogates",
    "Network": "surrogates",
    "ZeroSurrogate": "surrogates",
    "uniform_noise": "streams",
    "parameter_generators": "replicas",
    "variance_objective": "variance",
    "sample_moments": "variance",
    "enumerate_gradient": "exact",
    "exact_moments": "exact",
    "least_variance": "optimal",
    "best_scale": "optimal",
    "ProductBasis": "optimal",
    "RelaxError": "errors",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'relax' has no attribute '{name}'")
    return getattr(importlib.import_module(f"relax.{_HOME[name]}"), name)


def __dir__():
    return [*globals(), *__all__]
