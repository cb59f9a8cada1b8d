"""The benchmarks' table for people."""

import pandas as pd
from goals import judged

from relax.presentation.common import rounded

# Columns by what they are called here; "range" is made of low and high.
VAE_COLUMNS = {
    "model": "model",
    "estimator": "estimator",
    "per_second": "it/s",
    "range": "range",
    "to_reinforce": "time / REINFORCE's",
    "to_floor": "time / floor",
    "reference_per_second": "reference, it/s",
    "speed_up": "speed-up",
    "memory_mib": "memory, MiB",
    "peak_memory_mib": "process, MiB",
}
COMPILED_COLUMNS = {
    "model": "model",
    "estimator": "estimator",
    "per_second": "plain, it/s",
    "compiled_per_second": "compiled, it/s",
    "compiled_speed_up": "speed-up",
    "compiled_to_floor": "time / floor",
    "jax_per_second": "JAX, it/s",
    "compiled_over_jax": "speed over JAX's",
}
TOY_COLUMNS = {
    "estimator": "estimator",
    "replicas": "replicas",
    "per_second": "seed-steps/s",
    "range": "range",
}
DOOR_COLUMNS = {
    "estimator": "estimator",
    "per_second": "it/s",
    "range": "range",
    "to_inner": "time / inner functions'",
}
QUICK = "A quick run: it shows that the benchmarks work, and its numbers mean nothing."


def whole(values):
    """Rates as whole numbers, with commas; nothing where nothing was measured."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value:,.0f}")


def as_text(rows, columns):
    """Some columns of some rows, as Markdown."""
    rates = [name for name in columns if name.endswith("per_second")]
    rows = rows.assign(
        range=whole(rows.low) + " to " + whole(rows.high),
        **{name: whole(rows[name]) for name in rates},
    )
    shown = rounded(rows[list(columns)].rename(columns=columns), digits=3)
    return shown.to_markdown(index=False, disable_numparse=True)


def markdown(table, quick):
    """Where it was measured, the VAEs, the toy, and the goals.

    Args:
        table: as `bench.py` describes it.
        quick: whether its numbers are of a run that is too short to mean anything.
    """
    is_toy, is_door = table.model == "toy", table.model == "front door"
    vae = table[~is_toy & ~is_door]
    compiled = vae[vae.compiled_per_second.notna()]
    first = vae.iloc[0]
    paragraphs = [
        f"{first.machine}; torch {first.torch}; threads: {first.threads}. "
        f"While the VAEs were timed, the process had {first.core_share:.0%} of a core.",
        f"Discrete VAEs, one replica: {first.pixels:.0f} pixels, batch {first.batch}, "
        f"{first.latents} latents in a layer, {first.noise} noise. The floor is the step's matrix "
        "products alone, the reference the same computation in eager PyTorch as one would write "
        "it; the range is that of the repeats' medians. Memory is what a training adds, process "
        "the peak with the interpreter and torch in it.",
        as_text(vae, VAE_COLUMNS),
        "The compiled step (vae.compile), beside the plain one and a peer in JAX:",
        as_text(compiled, COMPILED_COLUMNS) if len(compiled) else "Not measured.",
        f"The toy at t = 0.499, {table[is_toy].iloc[0].noise} noise:",
        as_text(table[is_toy], TOY_COLUMNS),
        "A VAE of `linear1`'s size in plain torch, through `relax.Expectation`:",
        as_text(table[is_door], DOOR_COLUMNS),
        "Goals, all of them ratios within this run; rates are a machine's, and not judged:",
        "\n".join(f"- {line}" for line in judged(table)),
    ]
    return "\n\n".join([QUICK] * quick + paragraphs)
