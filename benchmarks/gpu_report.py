"""The page of `gpu.py`: rates, memory, the peer, the whole training, and the paper's GPU-hours."""

import pandas as pd

from relax.presentation.common import rounded

DATA_SETS, STEPS, REPLICAS = 2, 2_000_000, 25  # of the paper's table
GOAL = 1500  # updates a second of RELAX on linear1 with 25 replicas
REHEARSAL = "A rehearsal: it shows that the command works, and its numbers mean nothing."


def hours(table):
    """GPU-hours of the paper's table by (model, estimator): the fastest step that was measured."""
    rows = table[(table.part == "steps") & (table.replicas == REPLICAS)]
    best = rows.groupby(["model", "estimator"], sort=False).per_second.max().dropna()
    return (DATA_SETS * STEPS / best / 3600).rename("hours").reset_index()


def goal(table):
    """Whether 25 replicas of RELAX are as fast as they are to be, in words."""
    rows = table[(table.part == "steps") & (table.replicas == REPLICAS)]
    rows = rows[(rows.model == "linear1") & (rows.estimator == "relax")]
    text = f"RELAX on linear1, {REPLICAS} replicas, updates a second >= {GOAL:,}: "
    if rows.per_second.isna().all():
        return text + "not measured"
    best = rows.per_second.max()
    return text + f"{best:,.0f}, {'met' if best >= GOAL else 'not met'}"


def as_text(table, digits=4):
    return rounded(table, digits).to_markdown(index=False, disable_numparse=True)


def page(table, quick, missing=()):
    """Markdown.

    Args:
        table: as `gpu.py` describes it.
        quick: whether it is a rehearsal.
        missing: parts that were not measured for want of time.
    """
    first = table.iloc[0]
    steps, jax = (table[table.part == part] for part in ("steps", "jax"))
    rates = pd.concat([steps, jax.assign(step="JAX")])
    rates = rates.assign(per_second=pd.to_numeric(rates.per_second))
    wide = rates.pivot_table("per_second", ["model", "estimator", "replicas"], "step", sort=False)
    held = pd.to_numeric(steps.memory_mib)
    memory = steps.assign(memory_mib=held).groupby(["model", "estimator", "replicas"], sort=False)
    wide = wide.join(memory.memory_mib.max()).reset_index()
    cost = hours(table)
    blocks = [REHEARSAL] * quick
    blocks += [f"{first.device}; torch {first.torch}."]
    blocks += [f"Tests that need a GPU: {note}" for note in table[table.part == "tests"].note]
    blocks += ["Updates a second, of all replicas together at once; memory in MiB:", as_text(wide)]
    for row in table[table.part == "training"].itertuples():
        blocks += [
            f"A whole training, {row.estimator} on {row.model}, {row.replicas} replicas, "
            f"{row.note}: {row.seconds:.1f} s."
        ]
    if len(cost):
        blocks += [
            f"GPU-hours of the paper's table: {DATA_SETS} data sets, {REPLICAS} replicas, "
            f"{STEPS:,} steps, by the fastest step measured; evaluation is not counted:",
            as_text(cost),
            f"Together {cost.hours.sum():.3g} hours for {len(cost)} of 18 cells.",
        ]
    blocks += [goal(table)]
    failed = table[table.note.str.startswith("failed")]
    blocks += [f"{tuple(r[:5])} {r.note}" for r in failed.itertuples(index=False)]
    if missing:
        blocks += [f"Not measured yet: {len(missing)} parts; the same command goes on."]
    return "\n\n".join(blocks)
