"""Stands for conda: makes an environment that has the pinned packages and nothing of the project.

It does what Snakemake asks of conda, in conda's own words, and notes each environment it makes.
"""

import json
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path
from venv import EnvBuilder

PREFIX = Path(sys.argv[1])  # of the installation: bin/conda, bin/activate
VERSION = "conda 99.1.0"
INFO = {"conda_prefix": str(PREFIX), "platform": "linux-64", "conda_version": "99.1.0"}
ACTIVATE = """export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"
"""


def install():
    """The two files of an installation that Snakemake calls."""
    (PREFIX / "bin").mkdir(parents=True)
    conda = PREFIX / "bin" / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{PREFIX}" "$@"\n')
    conda.chmod(0o755)
    (PREFIX / "bin" / "activate").write_text(ACTIVATE)


def create(file, prefix):
    """An environment from this file: the packages of the python that runs here, without `relax`."""
    EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    paths = sysconfig.get_paths(vars={"base": prefix, "platbase": prefix})
    packages = sysconfig.get_paths()["purelib"]
    (Path(paths["purelib"]) / "packages.pth").write_text(packages + "\n")
    with open(PREFIX / "made.txt", "a", encoding="utf-8") as made:
        made.write(Path(file).read_text(encoding="utf-8"))


def main(words):
    """Answer one call."""
    match words:
        case []:
            install()
        case ["--version"]:
            print(VERSION)
        case ["info", "--json"]:
            print(json.dumps(INFO))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            options = dict(pairwise(rest))
            create(options["--file"], options["--prefix"])
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in does not know: conda {' '.join(words)}")


if __name__ == "__main__":
    main(sys.argv[2:])
