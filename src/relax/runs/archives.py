"""Packed runs on disk: a folder a run, its tables compressed, with the checksum of every file.

`relax.experiments.archive` packs and reads them. Light to import: the Snakefile asks here which
tables there are.
"""

import hashlib
from pathlib import Path

from relax.errors import ConfigError, DataError

SUMS = "SHA256SUMS"
JOBS, PROVENANCE = "jobs.csv", "provenance.csv"
# The tables of a job of the VAE and of reinforcement learning, by the names that figures, summaries
# and claims know them by, which are their files' here: `training.csv.gz`.
VAE_TABLES = (
    *("training", "best", "variance", "midtraining", "gradients", "assumptions", "pictures"),
)
POLICY_TABLES = {"policies": "training", "shown": "shown"}  # and the names of a job's files
TABLES = (*VAE_TABLES, *POLICY_TABLES)


def find_packed(names, places, key="archive.runs"):
    """The folders of packed runs of these names.

    Args:
        names: paths of folders, absolute or within one of the places.
        places: directories, searched in this order.
        key: of the configuration, for messages.

    Raises:
        ConfigError: there is no such folder, it holds no packed run, or two have one name.
    """
    found = {}
    for index, name in enumerate(names):
        folders = [Path(place) / name for place in places]
        folder = next((f for f in folders if (f / SUMS).is_file()), None)
        if folder is None:
            there = sorted(p.parent.name for place in places for p in Path(place).glob(f"*/{SUMS}"))
            raise ConfigError(
                f"{key}[{index}]: there is no packed run '{name}' (a folder with a file {SUMS}); "
                f"there are: {', '.join(there) or 'none'}"
            )
        if folder.name in found:
            raise ConfigError(f"{key}[{index}]: two packed runs are called '{folder.name}'")
        found[folder.name] = folder
    return list(found.values())


def tables_of(folder):
    """Names of the tables that a packed run says it has, in the order of `TABLES`."""
    listed = _listed(folder)
    return [name for name in TABLES if f"{name}.csv.gz" in listed]


def files_of(folder):
    """Paths of all files that a packed run says it has, its checksums among them."""
    return [Path(folder) / name for name in (*_listed(folder), SUMS)]


def seal(folder):
    """Write the checksums of what lies in the folder: the last step of packing."""
    files = sorted(p for p in Path(folder).iterdir() if p.name != SUMS)
    lines = [f"{_digest(path)}  {path.name}\n" for path in files]
    (Path(folder) / SUMS).write_text("".join(lines), encoding="utf-8")


def check(folder):
    """Raise unless the folder is what was packed.

    Raises:
        DataError: naming the first file that is missing, damaged or a stranger, or unknown here.
    """
    folder = Path(folder)
    listed = _listed(folder)
    known = {f"{name}.csv.gz" for name in TABLES} | {JOBS, PROVENANCE}
    for name in sorted({JOBS, PROVENANCE} - set(listed)):
        raise DataError(f"{folder / SUMS} does not list {name}: this is no packed run")
    for path in sorted(folder.iterdir()):
        if path.name not in {*listed, SUMS}:
            raise DataError(f"{path} is a stranger: {SUMS} beside it does not list it; remove it")
    for name, wanted in listed.items():
        path = folder / name
        if name not in known:
            raise DataError(
                f"{path} is no table of a packed run; known: {', '.join(sorted(known))}"
            )
        if not path.is_file():
            raise DataError(f"{path} is missing: {SUMS} beside it lists it; pack the run again")
        if _digest(path) != wanted:
            raise DataError(
                f"{path} is damaged: its checksum is not the one that {SUMS} beside it lists; get "
                f"a good copy, or pack the run again"
            )


def _listed(folder):
    """{name: checksum} as the file of checksums has them."""
    path = Path(folder) / SUMS
    listed = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64 or Path(name).name != name or name in (".", ".."):
            raise DataError(f"{path}, line {number}: not a checksum and a name of a file")
        listed[name] = digest
    return listed


def _digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
