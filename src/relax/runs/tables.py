"""Tidy tables: one row an observation, CSV, floats that read back equal."""

import pandas as pd

from relax.files import placed_whole


def labelled(table, **labels):
    """The table with constant columns, one a label, in front: which run its rows are of."""
    return pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1)


def write_table(table, path):
    """Write a table as CSV, whole or not at all; floats in their shortest exact form."""
    with placed_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def write_parts(tables, column, paths):
    """Of tables, write the rows of each value of a column, as they appear, to a path of its own."""
    for table, own in zip(tables, paths, strict=True):
        for (_, part), path in zip(table.groupby(column, sort=False), own, strict=True):
            write_table(part, path)


def read_tables(paths):
    """Read CSV tables and stack them; floats come back bit for bit."""
    paths = [paths] if isinstance(paths, str) else list(paths)
    tables = [pd.read_csv(path) for path in paths]
    # One without rows says nothing of its columns' types.
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def read_named(inputs, joined=None, without=()):
    """The tables of a rule's named inputs, by name, but for the names in `without`.

    Args:
        joined: {input: {column: (key, {value of the key column: value})}}: columns that the
            configuration decides and no run depends on. They are added to that input's tables, so
            that another choice draws and judges anew and trains nothing.
    """
    tables = {name: read_tables(inputs[name]) for name in inputs.keys() if name not in without}
    for name in tables.keys() & (joined or {}):
        for column, (key, values) in joined[name].items():
            tables[name][column] = tables[name][key].map(values)
    return tables


def write_markdown(table, path):
    """Write a table for people, as Markdown."""
    with placed_whole(path) as temporary:
        temporary.write_text(
            table.to_markdown(index=False, disable_numparse=True) + "\n", encoding="utf-8"
        )
