"""Observations: a table of numbers, a row an observation and a column a variable.

Sachs's proteins ship with the package: 853 human cells under general stimulation, the amounts of 11
phosphorylated proteins and lipids in each (Sachs, Perez, Pe'er, Lauffenburger and Nolan, 2005,
"Causal protein-signaling networks derived from multiparameter single-cell data", Science 308, 523),
the first condition of that study, as the Python package `cdt` 0.6.0 carries it (MIT licence).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import relax.data
from relax.errors import DataError

SACHS = Path(relax.data.__file__).with_name("sachs_observational.csv")
# The consensus network that most later work compares with, as parent and child; it is disputed.
CONSENSUS = """
    praf pmek, PKA pmek, PKC pmek, plcg PIP2, PIP3 PIP2, plcg PIP3, pmek p44/42, PKA p44/42,
    p44/42 pakts473, PKA pakts473, PKC PKA, plcg PKC, PIP2 PKC, PKA P38, PKC P38, PKA pjnk, PKC pjnk
"""
LEAST_DETERMINED = 1e-9  # a column's variance that the others leave, as a share of its own


class Observations(NamedTuple):
    """What is known of a table: how its columns are called, how it was made, what they share."""

    names: list[str]
    rows: int
    correlation: np.ndarray  # [column, column], float64


def consensus(names: list[str]) -> np.ndarray | None:
    """Sachs's consensus as a matrix [parent, child] of bools, or None of other variables."""
    edges = [edge.split() for edge in CONSENSUS.split(",")]
    if not {name for edge in edges for name in edge} <= set(names):
        return None
    graph = np.zeros((len(names), len(names)), dtype=bool)
    for parent, child in edges:
        graph[names.index(parent), names.index(child)] = True
    return graph


def read_observations(path: str | Path | None, transform: str = "log") -> Observations:
    """The observations of a CSV file with the variables' names in its first line.

    Args:
        path: the file; None: Sachs's proteins.
        transform: "log" (logarithms of what then must be positive) or "none".

    Raises:
        DataError: naming the file, the column and what is wrong with it: text, missing or infinite
            numbers, a constant, a number whose logarithm there is not, or a column that others
            determine; two columns or more and more rows than columns are needed.
    """
    table = _numbers(path or SACHS)
    where = _called(path or SACHS)
    if transform == "log":
        for name, column in table.items():
            if (column <= 0).any():
                row = int((column <= 0).to_numpy().argmax())
                raise DataError(
                    f"{where}: column '{name}' has {column.iloc[row]:g} in row {row + 1}, which "
                    f"has no logarithm; set structure.transform to none"
                )
        table = np.log(table)
    for name, column in table.items():
        if np.ptp(column.to_numpy()) <= 1e-12 * column.abs().max():
            raise DataError(f"{where}: column '{name}' is constant; leave it out")
    observations = Observations(list(table), len(table), correlation_of(table.to_numpy()))
    if dependent := determined(observations):
        raise DataError(
            f"{where}: the columns {', '.join(dependent)} determine each other; leave one out"
        )
    return observations


def correlation_of(values: np.ndarray) -> np.ndarray:
    """Of values [row, column], which are standardised by it, the correlations."""
    centred = values - values.mean(0)
    scaled = centred / np.sqrt(np.square(centred).mean(0))
    return scaled.T @ scaled / len(values)


def determined(observations: Observations) -> list[str]:
    """Names of the columns that are linear functions of each other, to rounding."""
    values, vectors = np.linalg.eigh(observations.correlation)
    if values[0] > LEAST_DETERMINED:
        return []
    involved = np.abs(vectors[:, values <= LEAST_DETERMINED]).max(1) > 1e-3
    return [f"'{n}'" for n, own in zip(observations.names, involved, strict=True) if own]


def _count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _called(path):
    return f"'{Path(path).name}'"


def _numbers(path):
    """The table as float64."""
    where = _called(path)
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"structure.file: there is no file '{path}'") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{where} cannot be read as CSV: {error}") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{where} has rows with more cells than its first line has names")
    if pd.to_numeric(table.columns, errors="coerce").notna().any():
        raise DataError(
            f"{where}: the first line must name the columns; got {', '.join(table.columns)}"
        )
    if len(table.columns) < 2 or len(table) <= len(table.columns):
        size = f"{_count(len(table), 'row')} of {_count(len(table.columns), 'column')}"
        raise DataError(
            f"{where} has {size} under its line of names; needed are two columns or more, and more "
            f"rows than columns"
        )
    for name, column in table.items():
        if not pd.api.types.is_numeric_dtype(column) or column.dtype == bool:
            read = pd.to_numeric(column, errors="coerce")
            row = int((read.isna() & column.notna()).to_numpy().argmax())
            raise DataError(
                f"{where}: column '{name}' has text ('{column.iloc[row]}' in row {row + 1}); every "
                f"cell under the first line must be a number"
            )
        odd = ~np.isfinite(column.to_numpy(dtype=float))
        if odd.any():
            missing = column.isna()
            what = "is missing" if missing[odd.argmax()] else "is infinite"
            raise DataError(
                f"{where}: column '{name}' {what} in row {odd.argmax() + 1} "
                f"(and {odd.sum() - 1} more); fill the cells or leave the rows out"
            )
    return table.astype(float)
