"""results/README.md beside the tables: every table is in it, with its columns and no others."""

import re

import pandas as pd
import pytest
from unit import made_up
from workflow.project import ROOT

from relax.experiments.archive.stack import stack
from relax.experiments.own import summary as own_summary
from relax.experiments.own.comparison import compare_own
from relax.experiments.own.problem import OwnSettings, train_own
from relax.experiments.vae import summary as vae_summary

README = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
QUOTED = re.compile("`([^`]+)`")
PUBLISHED = ROOT / "docs" / "tables"
THEORY = ("latents", "equations", "toy_assumptions")  # published tables of results/theory
# Published tables that a page alone has, and one that was rounded by hand.
OF_A_PAGE = {
    *("compiled/compiled.csv", "compiled/derivatives.csv"),
    *("estimators_mnist/training.csv", "estimators_mnist/variance.csv"),
    *("mnist_deep/concrete_error.csv", "mnist_deep/halfway.csv", "mnist_deep/log_variance.csv"),
}
# Columns that the published table is too old to have: of the program that writes it.
YOUNGER = {"tables/bench_structure.csv": ["torch", "threads"]}


def documented(text):
    """What the README lists: {paths of tables in results/: their columns}, both as patterns.

    A heading of the second level names a folder or a table, one of the third level tables of the
    folder. A row below has columns in its first cell, or there a table of the folder, whose columns
    are in the last cell.
    """
    sections, folder, files = {}, "", ()
    for line in text.splitlines():
        names = QUOTED.findall(line)
        if line.startswith("## "):
            folder = "".join(name for name in names if name.endswith("/"))
            files = tuple(name for name in names if name.endswith(".csv"))
        elif line.startswith("### "):
            files = tuple(folder + name for name in names)
        elif line.startswith("| `"):
            first, *_, last = (QUOTED.findall(cell) for cell in line.split("|")[1:-1])
            if first[0].endswith(".csv"):
                sections[(folder + first[0],)] = last
            else:
                sections.setdefault(files, []).extend(first)
    return sections


def is_one(name, pattern):
    """Whether a path or column is one of a pattern, whose braces stand for what differs."""
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", pattern), name) is not None


def mistakes(sections, tables):
    """What is wrong, as pairs: of which path, or of the tables of which section; in words.

    Args:
        sections: `documented`.
        tables: pairs (path in results/, columns).
    """
    found, met = [], {patterns: set() for patterns in sections}
    for path, columns in tables:
        own = [key for key in sections if any(is_one(path, pattern) for pattern in key)]
        if len(own) != 1:
            found.append((path, f"{len(own)} sections are of this table"))
            continue
        for column in columns:
            listed = [each for each in sections[own[0]] if is_one(column, each)]
            met[own[0]].update(listed)
            if not listed:
                found.append((path, f"no word of its column '{column}'"))
    for patterns, columns in sections.items():
        section = ", ".join(patterns)
        absent = [each for each in columns if each not in met[patterns]]
        found += [(section, f"no table has the column '{each}'") for each in absent]
    return found


def own_tables(folder):
    """(path, columns) of the user's own problem, which the tiny run does not make."""
    file = folder / "mine.py"
    file.write_text("def price(b):\n    return b.sum(-1)\n")
    how = {"function": "price", "latents": 2, "outcomes": None, "noise": "coupled"}
    settings = {"evaluations": 4, "measurements": 1, "surrogate": {}}
    wildcards = {"estimator": "reinforce", "first": 0, "last": 1}
    training = train_own(OwnSettings.of(wildcards, how | settings, file))
    chosen = {"estimators": ["reinforce"], "surrogate": {}, "steps": 1, "estimates": 60}
    comparison = compare_own(file, **how, **chosen)
    yield "own/reinforce/seeds0-1.csv", [*training]
    yield "own/compare.csv", [*comparison]
    yield "tables/own.csv", [*own_summary.summarise(training, comparison)]


def unpacked_tables(folder):
    """(path, columns) of packed runs: one with categorical latents, and one of policies."""
    kind = {"latent_kind": "categorical", "latents": 20, "outcomes": 10}
    config = {"vae": made_up.CONFIG["vae"] | kind}
    more = {"diverged_step": float("nan")}
    rows = made_up.training(made_up.ELBOS).assign(**more)
    mine = made_up.packed(folder / "mine", config=config, training=rows)
    tables = stack([mine, ROOT / "archive" / "lunarlander"])
    for name in ("training", "tried", "policies", "jobs"):
        yield f"unpacked/{name}.csv", [*tables[name]]
    yield "tables/vae.csv", [*vae_summary.summarise(tables["training"], tables["best"])]


@pytest.fixture(scope="module")
def tables(tiny, tmp_path_factory):
    """Pairs (path in results/, columns): of the tiny run, published, and made here."""
    made = [
        (str(path.relative_to(tiny.path / "results" / "tiny")), path)
        for path in sorted((tiny.path / "results" / "tiny").rglob("*.csv"))
    ]
    for path in sorted(PUBLISHED.glob("*/*.csv")):
        if str(path.relative_to(PUBLISHED)) not in OF_A_PAGE:
            folder = "theory" if path.stem in THEORY else "tables"
            made.append((f"{folder}/{path.name}", path))
    found = [(name, list(pd.read_csv(path, nrows=0))) for name, path in made]
    folder = tmp_path_factory.mktemp("made")
    return [*found, *YOUNGER.items(), *own_tables(folder), *unpacked_tables(folder)]


def test_it_lists_every_table_with_its_columns(tables):
    assert mistakes(documented(README), tables) == []


def test_a_column_left_out_or_made_up_is_seen(tables):
    """The control: each column of each section by itself, and one more in each."""
    for patterns, columns in documented(README).items():
        own = [table for table in tables if any(is_one(table[0], each) for each in patterns)]
        for column in columns:
            rest = [each for each in columns if each != column]
            words = {words for _, words in mistakes({patterns: rest}, own)}
            assert words, (patterns, column)
            assert all("no word of its column" in each for each in words)
        more = mistakes({patterns: [*columns, "colour"]}, own)
        assert more == [(", ".join(patterns), "no table has the column 'colour'")]


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ("| `loss`, `loss_se` |", "| `loss` |", "tables/toy.csv", "its column 'loss_se'"),
        ("`exact_gradient`, `bias`", "`bias`", "theory/concrete.csv", "column 'exact_gradient'"),
        ("| `equation`, `case`", "| `noise`, `case`", "theory/equations.csv", "column 'equation'"),
        ("| `claim`, `where` |", "| `claim`, `who` |", "tables/claims.csv", "its column 'where'"),
        ("| `compare.csv` |", "| `other.csv` |", "own/compare.csv", "0 sections"),
        ("### `shown.csv`", "### Shown", "rl/cartpole/relax/", "0 sections"),
    ],
)
def test_a_changed_word_of_the_readme_is_seen(tables, old, new, where, words):
    """The same in the README's own text."""
    assert old in README
    found = mistakes(documented(README.replace(old, new)), tables)
    assert any(path.startswith(where) and words in what for path, what in found)
