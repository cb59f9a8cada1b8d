"""`python -m relax FILE:FUNCTION --latents 12`: the table of `compare` for a function of a file."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from relax.errors import ArgumentError, RelaxError
from relax.frontdoor.compare import compare
from relax.frontdoor.latents import KINDS, Latents
from relax.frontdoor.loading import load_cost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 where the user has to mend something.

    Args:
        arguments: words of the command line; by default those of this process.
    """
    chosen = _parser().parse_args(arguments)
    try:
        print(compared(chosen))
    except RelaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def compared(chosen: Any) -> str:
    """The table as text, with what it was held against and what was left out."""
    path, colon, name = chosen.cost.rpartition(":")
    if not colon:
        raise ArgumentError(
            f"name the file and the function, as costs.py:cost; got {chosen.cost!r}"
        )
    latents = Latents(chosen.latents, chosen.kind)
    if chosen.csv:
        _check_folder(Path(chosen.csv).parent)
    settings = {"samples": chosen.samples} if chosen.samples else {}
    table = compare(
        load_cost(path, name),
        _logits(latents, chosen.theta),
        latents=latents.argument,
        kind=latents.kind,
        estimators=chosen.estimators,
        steps=chosen.steps,
        estimates=chosen.estimates,
        seed=chosen.seed,
        any_leading=True,
        hidden=tuple(chosen.hidden),
        add_relaxed_cost=chosen.add_relaxed_cost,
        **settings,
    )
    if chosen.csv:
        table.to_csv(chosen.csv)
    lines = [str(table), ""]
    lines += [f"bias and z: against {table.attrs['reference']}"]
    lines += [f"left out: {why}" for why in table.attrs["left out"].values()]
    return "\n".join(lines)


def _check_folder(folder):
    """Before all the work that is to be written there."""
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ArgumentError(f"--csv: there is no folder '{folder}' that can be written to")


def _logits(latents, theta):
    """Where the estimators are compared: bits of probability θ, even choices, standard normals."""
    if latents.kind == "bernoulli":
        return torch.full(latents.parameters, theta).logit()
    return torch.zeros(latents.parameters)


def _numbers(text):
    """12, or 20x10 as (20, 10)."""
    numbers = tuple(int(part) for part in text.split("x"))
    return numbers if len(numbers) > 1 else numbers[0]


def _probability(text):
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _names(text):
    return text.split(",")


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m relax",
        description="Compare gradient estimators on a cost of your own, best first.",
        epilog="FUNCTION takes b [rows, latents] (of 20x10: [rows, 20, 10], one-hot along the last "
        "axis) and returns a value for each row, [rows].",
    )
    add = parser.add_argument
    add("cost", metavar="FILE:FUNCTION", help="where the cost is: costs.py:cost")
    add("--latents", type=_numbers, required=True, help="how many; 20x10: variables x outcomes")
    add("--kind", choices=KINDS, help="default: categorical for variables x outcomes, or bits")
    add("--theta", type=_probability, default=0.5, help="probability of each bit (0.5)")
    add("--estimators", type=_names, help="their names, with commas (all of them)")
    add("--samples", type=int, help="K, for those that draw several (2)")
    add("--steps", type=int, default=500, help="updates of φ before measuring (500)")
    add("--estimates", type=int, default=1000, help="estimates behind each variance (1000)")
    add("--seed", type=int, default=0)
    add("--hidden", type=int, nargs="*", default=[10], help="widths of RELAX's network (10)")
    add("--add-relaxed-cost", action="store_true", help="RELAX adds its network to REBAR's cost")
    add("--csv", metavar="FILE", help="write the table there, too")
    return parser
