"""Taking the tables and pictures of a run into docs/: `python docs/pages.py publish`.

So are those that a program of benchmarks/ has written into results/tables: they are no part of a
run, and have a name of their own.
"""

import shutil
from pathlib import Path

import pandas as pd
from PIL import Image

from relax.errors import DataError
from relax.runs.config import OF_THE_MACHINE, configuration
from relax.runs.provenance import code, provenance, tidy
from relax.runs.tables import write_table

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Tables of results/theory that are published too.
BESIDE = ("latents", "equations", "toy_assumptions")
# What a benchmark is published as: its program, and the table that it writes.
BENCHMARKS = {
    "bench": ("bench", "bench"),
    "several": ("several", "bench_estimators"),
    "structure_seeds": ("structure_seeds", "bench_structure"),
    "policy_speed": ("control", "bench_policies"),
}


def publish(preset, command=None, configfiles=(), note=None):
    """Take the tables and the pictures of a finished run, and its provenance.

    Args:
        preset: of the run; or the name of a benchmark.
        command: what made it; by default what makes all of a run, or the benchmark's own.
        configfiles: of a run of which a part was made, what it was started with.
        note: a sentence for people.
    """
    if preset in BENCHMARKS:
        return publish_benchmark(preset, command, note)
    inner = "" if preset == "default" else preset
    results, figures = ROOT / "results" / inner, ROOT / "figures" / inner
    facts = provenance_of(results, figures, configfiles)
    target = DOCS / "tables" / preset
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted((results / "tables").glob("*.csv")):
        if not path.stem.startswith(("bench", "claims_")):
            shutil.copy(path, target)
    # The ledger's rows of single experiments; the ledger has them all.
    parts = [pd.read_csv(path) for path in sorted((results / "tables").glob("claims_*.csv"))]
    if parts and not (target / "claims.csv").exists():
        write_table(pd.concat(parts, ignore_index=True), target / "claims.csv")
    for name in BESIDE:
        if (results / "theory" / f"{name}.csv").exists():
            shutil.copy(results / "theory" / f"{name}.csv", target)
    facts = pd.concat([facts, said(command or "snakemake --cores 2", note)])
    write_table(facts, target / "provenance.csv")
    gallery = DOCS / "gallery" / inner
    for picture in sorted(figures.glob("*.png")):
        gallery.mkdir(exist_ok=True)
        # 256 colours look the same, and a third of the bytes stays in the history for ever.
        image = Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        image.save(gallery / picture.name, optimize=True)


def provenance_of(results, figures, configfiles):
    """The table `provenance` of a run, or of the part of it that was made.

    Raises:
        DataError: nobody has written it, and there are no `configfiles` to write it from.
    """
    path = results / "tables" / "provenance.csv"
    if path.exists():
        return pd.read_csv(path, dtype=str)
    if not configfiles:
        raise DataError(
            f"{path.parent} has no {path.name}: let the whole run end first; or, to publish the "
            f"part that was made, name what it was started with, --configfile"
        )
    if not path.parent.exists():
        raise DataError(f"there is no folder {path.parent}")
    made = [file for folder in (results, figures) for file in folder.rglob("*") if file.is_file()]
    facts = provenance(configuration(ROOT, configfiles), results, made)
    return facts[~facts.item.isin(OF_THE_MACHINE)].reset_index(drop=True)


def said(command, note):
    """What a person says of a run, as rows of its provenance."""
    return tidy({"run": {"command": command} | ({"note": note} if note else {})})


def publish_benchmark(name, command=None, note=None):
    """Take the table of a benchmark; it was measured of the code as it is now.

    Raises:
        DataError: it has not been measured.
    """
    program, table = BENCHMARKS[name]
    command = command or f"python benchmarks/{program}.py"
    path = ROOT / f"results/tables/{table}.csv"
    if not path.exists():
        raise DataError(f"there is no {path}: `{command}` writes it")
    first = pd.read_csv(path).iloc[0]
    topics = {"code": code(ROOT), "package": {"torch": first.torch}}
    topics["machine"] = {first.machine: f"{first.threads} thread"}
    target = DOCS / "tables" / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(path, target)
    write_table(pd.concat([tidy(topics), said(command, note)]), target / "provenance.csv")
