"""Taking the tables and pictures of a run into docs/: `python docs/pages.py publish`."""

import shutil
from pathlib import Path

import pandas as pd
from PIL import Image

from relax.errors import DataError
from relax.runs.config import OF_THE_MACHINE, configuration
from relax.runs.provenance import provenance
from relax.runs.tables import write_table

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Tables of results/theory that are published too.
BESIDE = ("latents", "equations", "toy_assumptions")


def publish(preset, command, configfiles=(), note=None):
    """Take the tables and the pictures of a finished run, and its provenance.

    Args:
        configfiles: of a run of which a part was made, what it was started with.
        note: a sentence for people.
    """
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
    bench = results / "tables" / "bench.csv"
    if bench.exists():
        publish_bench(bench)
    for name in BESIDE:
        if (results / "theory" / f"{name}.csv").exists():
            shutil.copy(results / "theory" / f"{name}.csv", target)
    for item, value in (("command", command), ("note", note)):
        if value:
            facts.loc[len(facts)] = ("run", item, value)
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


def publish_bench(path):
    """Take what `make bench` has written, which is no part of a run."""
    target = DOCS / "tables" / "bench"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(path, target)
    several = path.with_name("bench_estimators.csv")
    if several.exists():
        shutil.copy(several, target)
    first = pd.read_csv(path).iloc[0]
    facts = {
        ("run", "command"): "make bench",
        ("package", "torch"): first.torch,
        ("machine", first.machine): f"{first.threads} thread",
    }
    rows = [(topic, item, value) for (topic, item), value in facts.items()]
    write_table(pd.DataFrame(rows, columns=["topic", "item", "value"]), target / "provenance.csv")
