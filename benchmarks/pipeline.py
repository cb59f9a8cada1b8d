"""What share of a pipeline's processor time is spent in training and measuring.

    python benchmarks/pipeline.py [what to give snakemake, by default --cores 2]

Runs snakemake in this folder. All that has to be made is counted, so start from nothing (`make
clean`). The rest of the time is spent in starting interpreters, importing, scheduling, and drawing.
"""

import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from relax.runs.jobs import SPENT

# Folders of logs/ whose jobs prepare, unpack, tabulate and draw; the others train or measure.
BESIDE = ("data", "unpacked", "tables", "figures")


def spent(log, since):
    """Seconds of processor time that a job spent at its work, if it ended after `since`."""
    found = re.search(rf"^{SPENT}([0-9.]+) s$", log.read_text(encoding="utf-8"), re.MULTILINE)
    return float(found[1]) if found and log.stat().st_mtime >= since else 0.0


def main(arguments):
    since = time.time()
    run = subprocess.run([sys.executable, "-m", "snakemake", *(arguments or ["--cores", "2"])])
    wall = time.time() - since
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = usage.ru_utime + usage.ru_stime
    work = Counter()
    for log in Path("results").rglob("*.log"):
        if (stage := _stage(log)) not in BESIDE:
            work[stage] += spent(log, since)
    print(f"wall time {wall:.0f} s, processor time {total:.0f} s, of it in training and measuring:")
    for folder, seconds in work.most_common():
        print(f"  {folder}: {seconds:.0f} s")
    print(f"  together: {work.total():.0f} s, {work.total() / total:.1%}")
    sys.exit(run.returncode)


def _stage(log):
    """The first name below the folder `logs`."""
    return log.parts[log.parts.index("logs") + 1].removesuffix(".log")


if __name__ == "__main__":
    main(sys.argv[1:])
