"""`python -m relax.experiments.archive pack RESULTS FOLDER`, and `check FOLDER`."""

import argparse
import sys

from relax.errors import RelaxError
from relax.experiments.archive.pack import pack
from relax.experiments.archive.stack import read_packed


def main(words=None):
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m relax.experiments.archive", description="Packed results of runs."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("pack", help="pack a run, finished or as far as it came")
    one.add_argument("results", help="a preset's folder of results, as results/long")
    one.add_argument("folder", help="where to, as archive/long")
    one.add_argument(
        "--configfile",
        nargs="+",
        default=[],
        help="what the run was started with; needed where the whole run has not ended",
    )
    one.add_argument("--note", help="a sentence for people")
    one.add_argument(
        "--no-bounds", action="store_true", help="do not score the models of unfinished runs"
    )
    two = actions.add_parser("check", help="whether packed runs are whole, and what they hold")
    two.add_argument("folders", nargs="+")
    chosen = parser.parse_args(words)
    try:
        if chosen.action == "pack":
            how = (chosen.configfile, chosen.note, not chosen.no_bounds)
            jobs, rows = pack(chosen.results, chosen.folder, *how)
            for job in jobs.itertuples():
                end = "finished" if job.finished else f"of {job.planned:,}: as far as it came"
                print(f"{job.job}: {job.steps:,} steps, {end}")
            print(f"{chosen.folder}: {', '.join(f'{n} ({c:,} rows)' for n, c in rows.items())}")
        else:
            for folder in chosen.folders:
                run = read_packed(folder)
                print(f"{folder}: whole; {len(run.jobs)} jobs, tables {', '.join(run.tables)}")
    except RelaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
