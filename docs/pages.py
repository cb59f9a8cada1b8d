"""The published tables, and the pages that show them.

    python docs/pages.py                     # fill every page from the tables under docs/tables
    python docs/pages.py publish [PRESET]    # take the tables and pictures of a run first
    python docs/pages.py publish bench       # or of a benchmark: `BENCHMARKS` of publishing.py

A run's tables lie in `docs/tables/RUN/`, with `provenance.csv`: topic, item, value. A page asks for
one in a comment, and what stands between that comment and the next `<!-- end -->` is written here:

    <!-- table default/vae model=linear1 show="estimator,training ELBO" -->   rows and columns
    <!-- table default/vae rows=estimator columns=model cells="training ELBO" -->   crossed
    <!-- claims default fig3_vae_training -->  the verdicts that rest on a figure or table
    <!-- verdicts default -->                  how many there are of each
    <!-- run default -->                       the command, the commit and the machine
    <!-- times default -->                     each figure of figures.csv: target, keys, time
    <!-- bench bench vae -->                   by `make bench`: vae, compiled, toy, door or goals

`without="words"` stands in place of a table, or of claims, that the published run does not have.
`column=value` keeps the rows with this value in the CSV file; `show`, `rows`, `columns` and
`cells` name columns of the table for people, `column:heading` under another heading. `digits=3`
are the significant ones where a table is shown as it is. Words of several parts stand in quotes.
`tests/unit/test_pages.py` fails when a page and its tables disagree.
"""

import argparse
import os
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd

from relax.errors import DataError
from relax.experiments.claims import for_people as claims_for_people
from relax.presentation.common import label, rounded

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
KINDS = "table|claims|verdicts|run|times|bench"
MARK = re.compile(rf"<!-- ({KINDS}) (.*?) -->\n(.*?)<!-- end -->", re.DOTALL)
COUNTS = ("bound_samples", "seeds_to_rebar", "relax_episodes")
# What writes a table for people; any other is shown as it is, rounded.
SUMMARIES = {
    "vae": "vae.summary",
    "midtraining": "vae.midtraining_summary",
    "gradients": "vae.gradient_summary",
    "rl": "control.summary",
    "rl_rates": "control.rates_summary",
    "published": "vae.published_summary",
    "runs": "archive.summary",
    "learning_rates": "archive.rates_summary",
    "estimators": "benchmark.summary",
    "reparameterization": "reparameterization.summary",
    "structure": "structure.summary",
}
SHORT = 12  # digits of a commit


class PageError(Exception):
    """A comment of a page asks for what is not there."""


class Published:
    """The tables of the runs in one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, run, name):
        path = self.folder / run / f"{name}.csv"
        if not path.exists():
            there = sorted(p.relative_to(self.folder).with_suffix("") for p in self.paths())
            raise PageError(f"no table {run}/{name}: there are {', '.join(map(str, there))}")
        return path

    def paths(self):
        return self.folder.glob("*/*.csv")

    def table(self, run, name):
        table = pd.read_csv(self.path(run, name))
        # Counts, of which some are missing, come back as floats.
        return table.astype({column: "Int64" for column in COUNTS if column in table})

    def facts(self, run):
        """The run's provenance, by topic and item; an empty value is left out."""
        table = pd.read_csv(self.path(run, "provenance"), dtype=str).dropna()
        return {(row.topic, row.item): row.value for row in table.itertuples()}


def readable(name, table, digits=5):
    """A table as text: in the columns that people see, estimators by their labels."""
    if name == "claims":
        return readable_claims(table)
    if name in SUMMARIES:
        table = import_module(f"relax.experiments.{SUMMARIES[name]}").for_people(table)
    shown = rounded(table, digits)
    if "estimator" in shown:
        shown["estimator"] = [label(value) for value in shown.estimator]
    return shown


def readable_claims(table):
    """The ledger with the rule of each claim, which its own Markdown leaves out."""
    shown = claims_for_people(table)
    shown.insert(2, "rule", table.rule)
    return shown.fillna("")


def columns_of(table, wanted):
    """These columns, "name" or "name:heading", in this order."""
    pairs = [(*each.split(":"), each)[:2] for each in wanted.split(",")]
    missing = [name for name, _ in pairs if name not in table]
    if missing:
        raise PageError(f"no column {missing[0]!r}: there are {', '.join(table)}")
    return pd.DataFrame({heading: table[name] for name, heading in pairs})


def crossed(table, rows, columns, cells):
    """One row a value of `rows`, one column a value of `columns`, in the order they appear."""
    chosen = columns_of(table, f"{rows},{columns},{cells}")
    row, column, cell = chosen
    keys = [chosen[row], chosen[column]]
    if chosen.duplicated([row, column]).any():
        raise PageError(f"{row} and {column} do not tell the rows apart")
    wide = chosen.set_index(keys)[cell].unstack(sort=False).fillna("")
    return wide.rename_axis(columns=None).reset_index(names=row)


def markdown(table):
    return table.map(lambda cell: str(cell).replace("|", "\\|")).to_markdown(
        index=False, disable_numparse=True
    )


def show_table(published, place, **options):
    run, _, name = place.partition("/")
    without, digits = options.pop("without", None), int(options.pop("digits", 5))
    if without and not (published.folder / run / f"{name}.csv").exists():
        return without
    table = published.table(run, name)
    shape = {
        key: options.pop(key) for key in ("show", "rows", "columns", "cells") if key in options
    }
    for column, value in options.items():
        if column not in table:
            raise PageError(f"no column {column!r} in {place}: there are {', '.join(table)}")
        table = table[table[column].astype(str).fillna("") == value]
    if table.empty:
        raise PageError(f"no row of {place} has {options}")
    shown = readable(name, table.reset_index(drop=True), digits)
    if "rows" in shape:
        return markdown(crossed(shown, shape["rows"], shape["columns"], shape["cells"]))
    return markdown(columns_of(shown, shape["show"]) if "show" in shape else shown)


def show_claims(published, run, evidence, without=None):
    table = published.table(run, "claims")
    table = table[table.evidence == evidence]
    if table.empty and without:
        return without
    if table.empty:
        raise PageError(f"no claim of {run} rests on {evidence}")
    return markdown(readable_claims(table).drop(columns="evidence"))


def show_verdicts(published, run):
    table = published.table(run, "claims")
    counts = table.groupby(["evidence", "verdict"], sort=False).size().unstack(fill_value=0)
    counts.loc["all"] = counts.sum()
    counts["claims"] = counts.sum(axis=1)
    order = ["reproduced", "not reproduced", "not tested at this scale"]
    others = [verdict for verdict in counts if verdict not in (*order, "claims")]
    counts = counts.reindex(columns=[*order, *others, "claims"], fill_value=0)
    return markdown(counts.rename_axis(index=None, columns=None).reset_index(names="evidence"))


def show_run(published, run, page, files="yes"):
    facts = published.facts(run)
    parts = [f"Made by `{facts['run', 'command']}`"]
    if ("code", "written down at") in facts:
        parts.append(f"and written down at commit `{facts['code', 'written down at'][:SHORT]}`")
    commit = facts.get(("code", "commit"))
    if commit:
        parts.append(f"at commit `{commit[:SHORT]}`")
        if facts.get(("code", "changed"), "nothing") != "nothing":
            parts.append("with changes to it")
    text = " ".join(parts)
    if ("package", "torch") in facts:
        text += f", with torch {facts['package', 'torch']}"
    machines = [item for topic, item in facts if topic == "machine"]
    text += f", on {' and '.join(machines)}" * bool(machines) + "."
    if ("seconds", "all jobs") in facts:
        text += f" Its jobs took {float(facts['seconds', 'all jobs']):.0f} s together."
    if ("run", "note") in facts:
        text += f" {facts['run', 'note']}"
    if files == "no":
        return text
    names = sorted(path.stem for path in (published.folder / run).glob("*.csv"))
    base = os.path.relpath(DOCS / "tables" / run, page.parent)
    files = ", ".join(f"[{name}.csv]({base}/{name}.csv)" for name in names)
    return f"{text} Tables: {files}."


def show_times(published, run):
    facts = published.facts(run)
    seconds = {item: float(value) for (topic, item), value in facts.items() if topic == "seconds"}
    total = seconds.pop("all jobs")
    # Whose training supplies the checkpoints: of it alone there are pictures.
    found = {re.search(r"/(\w+)/lr[^/]*/[^/]*/pictures$", job) for job in seconds}
    trajectory = "|".join(sorted({match[1] for match in found if match})) or "none"
    rows = []
    for row in pd.read_csv(DOCS / "figures.csv", dtype=str).itertuples():
        jobs = re.compile(row.jobs.replace("TRAJECTORY", f"({trajectory})"))
        spent = sum(value for job, value in seconds.items() if jobs.fullmatch(job))
        rows.append((row.figures, row.targets, row.keys, f"{spent:.0f} s"))
    rows.append(("all", "`all` (the default)", "all", f"{total:.0f} s"))
    return markdown(pd.DataFrame(rows, columns=["figure", "targets", "keys", "time of its jobs"]))


def show_bench(published, run, part):
    """As `make bench` prints it, but for columns that were not written down."""
    sys.path.append(str(ROOT / "benchmarks"))
    report = import_module("report")
    table = published.table(run, "bench")
    if part == "goals":
        return "\n".join(f"- {line}" for line in report.judged(table))
    parts = table.model.map({"toy": "toy", "front door": "door"}).fillna("vae")
    columns = {"vae": report.VAE_COLUMNS, "toy": report.TOY_COLUMNS, "door": report.DOOR_COLUMNS}
    columns["compiled"] = report.COMPILED_COLUMNS
    chosen = table.compiled_per_second.notna() if part == "compiled" else parts == part
    rows, columns = table[chosen], columns[part]
    kept = {k: v for k, v in columns.items() if k not in rows or rows[k].notna().any()}
    return report.as_text(rows, kept)


def filled(text, page, published):
    """A page's text with everything between its comments written anew.

    Raises:
        PageError: a comment asks for a run, table, column or row that is not published.
    """

    def body(match):
        kind, words = match[1], shlex.split(match[2])
        plain = [word for word in words if "=" not in word]
        options = dict(word.split("=", 1) for word in words if "=" in word)
        try:
            if kind == "run":
                inner = show_run(published, *plain, page, **options)
            else:
                show = {"table": show_table, "claims": show_claims}
                show |= {"verdicts": show_verdicts, "times": show_times, "bench": show_bench}
                inner = show[kind](published, *plain, **options)
        except PageError as error:
            raise PageError(f"{page.name}: <!-- {kind} {match[2]} -->: {error}") from error
        return f"<!-- {kind} {match[2]} -->\n\n{inner}\n\n<!-- end -->"

    return MARK.sub(body, text)


def pages():
    """Every page that may show a table."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def render():
    """Write every page anew; the names of those that have changed."""
    published, changed = Published(DOCS / "tables"), []
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(before, page, published)
        if after != before:
            page.write_text(after, encoding="utf-8")
            changed.append(str(page.relative_to(ROOT)))
    return changed


def main():
    parser = argparse.ArgumentParser(description="Fill the pages from the published tables.")
    parser.add_argument("action", nargs="?", choices=["render", "publish"], default="render")
    parser.add_argument("preset", nargs="?", default="default")
    parser.add_argument("--command", help="what made it, where it was not the usual one")
    parser.add_argument(
        "--configfile", nargs="+", default=[], help="of a part of a run, what it was started with"
    )
    parser.add_argument("--note", help="a sentence for people")
    chosen = parser.parse_args()
    try:
        if chosen.action == "publish":
            from publishing import publish

            publish(chosen.preset, chosen.command, chosen.configfile, chosen.note)
        print("written:", ", ".join(render()) or "nothing has changed")
    except (PageError, DataError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
