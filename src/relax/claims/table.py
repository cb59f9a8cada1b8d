"""The table of claims: every rule, applied to the result tables of one run."""

import pandas as pd

from relax.claims.control import CLAIMS as CONTROL
from relax.claims.judge import stack
from relax.claims.theory import CLAIMS as THEORY
from relax.claims.toy import CLAIMS as TOY
from relax.claims.vae import CLAIMS as VAE
from relax.intervals import LEVEL

# In the draft's order within each: what is exact, the toy problem, the discrete VAE; then
# reinforcement learning, which it only names.
CLAIMS = [*THEORY, *TOY, *VAE, *CONTROL]


def judge_claims(tables):
    """One row a claim, with the columns `relax.claims.judge.COLUMNS`.

    Args:
        tables: result tables by name: `toy`, `training`, `variance`, `midtraining`, `policies`, and
            those of the theory part (`optimum`, `concrete`, `relaxations`, `eta`, `latents`,
            `equations`). Without one of them its claims are not tested.
    """
    return stack([row for claim in CLAIMS for row in claim(tables)])


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
