"""Where torch is not installed: which test files cannot run, by what they import and ask for."""

import re
from pathlib import Path

from relax.runs.sources import imported_by

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "src"
# Whether a test runs jobs of the pipeline: a fixture that does, a run that is no dry one.
RUNS_JOBS = re.compile(
    r"def \w+\(.*\b(tiny|built_copy|results)\b|\.snakemake\(|import torch|use rule"
)


def needs_torch(path, seen):
    """Whether a file imports torch, itself or through what it imports of ours."""
    seen.add(path)
    names = imported_by(path, path.stem)
    if any(name.split(".")[0] in ("torch", "gymnasium") for name in names):
        return True
    stems = [root.joinpath(*name.split(".")) for name in names for root in (SOURCES, TESTS)]
    ours = {stem.with_suffix(".py") for stem in stems}
    return any(needs_torch(file, seen) for file in ours if file.is_file() and file not in seen)


def files():
    """Paths of the test files that cannot run."""
    return [
        str(path)
        for path in TESTS.rglob("test_*.py")
        if RUNS_JOBS.search(path.read_text(encoding="utf-8")) or needs_torch(path, set())
    ]
