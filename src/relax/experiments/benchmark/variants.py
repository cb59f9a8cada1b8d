"""Which estimators are compared on a problem, and with how many samples. Light to import."""

from typing import NamedTuple

from relax.estimators.registry import REGISTRY, calls, misfit

SAME = {("arms", 2): ("disarm", 2)}  # with so many samples one is the other: it is measured once


class Variant(NamedTuple):
    """An estimator with a number of samples."""

    estimator: str
    samples: int  # K; 1 where the estimator's number of samples is no setting


def variants(estimators, samples, kind="bernoulli", latents=1):
    """Those of these estimators that do on such latents, each with every K of `samples` it takes.

    Args:
        estimators: names.
        samples: numbers K, for estimators whose K is a setting.
        kind: of the latents.
        latents: how many.
    """
    found = []
    for name in estimators:
        if misfit(name, latents, kind) is None:
            several = "samples" in REGISTRY[name].reads
            taken = [k for k in samples if REGISTRY[name].allows(k)] if several else [1]
            found += [Variant(name, k) for k in taken]
    return [each for each in found if SAME.get(each) not in found]


def on_the_bound(estimators, samples):
    """The variants on the bound of so many samples: all have that many."""
    return [Variant(name, samples) for name in estimators]


def calls_on_the_bound(name, samples, latents):
    """`calls` on the bound of K samples, where an estimator of one sample draws K."""
    if "samples" in REGISTRY[name].reads:
        return calls(name, samples, latents)
    once = calls(name, 1, latents)
    return type(once)(*(samples * number for number in once))
