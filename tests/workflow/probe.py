"""Put on a job's path as `sitecustomize`: at its end, notes what the job had really loaded."""

import atexit
import json
import os
import sys
from pathlib import Path


def _note():
    job = getattr(sys.modules["__main__"], "snakemake", None)
    if job is None or not hasattr(job, "input"):
        return  # snakemake itself, or a helper
    modules = [m for name, m in sys.modules.items() if name.startswith("relax.")]
    torch = sys.modules.get("torch")
    note = {
        "rule": job.rule,
        "wildcards": dict(job.wildcards.items()),
        "declared": list(job.params.get("code", {})),
        "loaded": sorted(m.__name__.removeprefix("relax.") for m in modules),
        "threads": torch.get_num_threads() if torch else 1,
    }
    Path(os.environ["PROBE_NOTES"], f"{os.getpid()}.json").write_text(json.dumps(note))


if "PROBE_NOTES" in os.environ:
    atexit.register(_note)
