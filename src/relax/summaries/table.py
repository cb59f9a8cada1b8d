"""The summaries by name, and how their Markdown looks."""

import pandas as pd

from relax.summaries.control import rl_for_people, summarise_rl
from relax.summaries.midtraining import midtraining_for_people, summarise_midtraining
from relax.summaries.toy import summarise_toy
from relax.summaries.vae import summarise_vae, vae_for_people

# By name: a function of result tables, by keyword, to a summary.
SUMMARIES = {
    "toy": summarise_toy,
    "vae": summarise_vae,
    "midtraining": summarise_midtraining,
    "rl": summarise_rl,
}
_FOR_PEOPLE = {"vae": vae_for_people, "midtraining": midtraining_for_people, "rl": rl_for_people}


def for_people(summary, table):
    """The summary's table in the columns that its Markdown shows."""
    return _FOR_PEOPLE[summary](table) if summary in _FOR_PEOPLE else table


def rounded(table, digits=5):
    """The same table with numbers as short text, for Markdown; missing values are empty."""

    def text(value):
        if isinstance(value, float):
            return "" if pd.isna(value) else f"{value:.{digits}g}"
        return str(value)

    return table.map(text)
