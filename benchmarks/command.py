"""The command of a benchmark: what it measures becomes a table and its text."""

import argparse

import torch
from cases import use_one_thread

from relax.files import placed_whole
from relax.runs.machine import machine
from relax.runs.tables import write_table


def command(description, name, run):
    """Measure in one thread, write the table and its text, and print the text.

    Args:
        description: of the command, for its help.
        name: of the two files, without a suffix.
        run: a function of `quick` that gives the table and the text.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="seconds: does all of it work?")
    parser.add_argument("--folder", default="results/tables", help="where the tables go")
    chosen = parser.parse_args()
    use_one_thread()
    table, text = run(chosen.quick)
    write_table(table, f"{chosen.folder}/{name}.csv")
    with placed_whole(f"{chosen.folder}/{name}.md") as temporary:
        temporary.write_text(text + "\n")
    print(text)


def with_machine(table):
    """The table, each row with where and with what it was measured."""
    return table.assign(machine=machine(), torch=torch.__version__, threads=torch.get_num_threads())
