"""The table of claims: every experiment's rules, applied to the result tables of one run."""

from importlib import import_module

import pandas as pd

from relax.presentation.intervals import LEVEL
from relax.presentation.judge import stack

# In the draft's order: what is exact, the toy problem, the discrete VAE; then reinforcement
# learning, which it only names. Experiments beyond the draft follow.
DRAFT_ORDER = ("theory", "toy", "vae", "control")


def judge_claims(tables, experiments=DRAFT_ORDER):
    """One row a claim, with the columns `relax.presentation.judge.COLUMNS`.

    Args:
        tables: result tables by name: `toy`, `training`, `variance`, `midtraining`, `assumptions`,
            `policies`, those of the theory part (`optimum`, `concrete`, `relaxations`, `eta`,
            `latents`, `equations`, `family`, `toy_assumptions`), and those of other experiments.
            Without one of them its claims are not tested.
        experiments: folders of `relax.experiments` with a file `claims.py`; its list `CLAIMS` holds
            functions from the tables to rows.
    """
    last = len(DRAFT_ORDER)
    draft = {name: place for place, name in enumerate(DRAFT_ORDER)}
    ordered = sorted(experiments, key=lambda name: draft.get(name, last))
    modules = [import_module(f"relax.experiments.{name}.claims") for name in ordered]
    return stack([row for module in modules for claim in module.CLAIMS for row in claim(tables)])


def for_people(table):
    """The same table with few and short columns, for Markdown."""

    def number(row):
        if pd.isna(row.value):
            return ""
        if pd.isna(row.ci_low):
            return f"{row.value:.3g}"
        return f"{row.value:.3g} [{row.ci_low:.3g}, {row.ci_high:.3g}]"

    numbers = [number(row) for row in table.itertuples()]
    return pd.DataFrame(
        {
            "claim": table.claim,
            "statistic": table.statistic,
            f"value [{LEVEL:.0%} interval]": numbers,
            "verdict": table.verdict,
            "scale": table.scale,
            "evidence": table.evidence,
        }
    )
