"""The table of `relax.compare` for the user's own cost, as a table of the pipeline."""

import pandas as pd
import torch

from relax.experiments.own.problem import latents_of
from relax.frontdoor.compare import compare
from relax.frontdoor.loading import load_cost


def compare_own(file, function, latents, outcomes, estimators, surrogate, noise, steps, estimates):
    """One row an estimator, at equal probabilities of everything: where training starts.

    Columns: estimator, unbiased, bias, z, variance, mean_squared_error, evaluations, gradients,
    seconds, variance_x_evaluations, variance_x_seconds, reference, left_out (why it cannot run
    here; then all else is empty).

    Args:
        file, function: where the cost is.
        latents, outcomes: how many, and of choices how many outcomes each, or None.
        estimators: their names.
        surrogate: settings of the surrogates.
        noise: "coupled" or "independent".
        steps: updates of φ before measuring.
        estimates: behind each mean and variance.

    Raises:
        ArgumentError: naming file, function and what it returned; or none of them can run.
    """
    known = latents_of(latents, outcomes)
    table = compare(
        load_cost(file, function),
        torch.zeros(known.parameters),
        kind=known.kind,
        estimators=estimators,
        steps=steps,
        estimates=estimates,
        noise=noise,
        any_leading=True,
        **surrogate,
    )
    rows = table.rename(columns=lambda name: name.replace(" ", "_")).reset_index()
    rows = rows.assign(reference=table.attrs["reference"])
    absent = table.attrs["left out"]
    if absent:
        out = pd.DataFrame({"estimator": list(absent), "left_out": list(absent.values())})
        return pd.concat([rows, out], ignore_index=True)
    return rows.assign(left_out=None)
