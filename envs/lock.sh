#!/usr/bin/env bash
# Resolve envs/requirements.in anew, and write the lock, its hashes and the conda file from what was
# installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --requirement "$here/requirements.in"
pins=$("$scratch/venv/bin/python" -m pip freeze --all | grep -vE '^(pip|wheel)==' | sed 's/+cpu$//' | sort -f)
{
  echo "# Written by 'make lock' from requirements.in: every package of the environment, pinned."
  echo "$pins"
} >"$here/requirements.lock"
"$here/hashes.sh"
{
  echo "# Written by 'make lock' from requirements.in; the same pins as requirements.lock."
  echo "channels:"
  echo "  - conda-forge"
  echo "dependencies:"
  echo "  - python=3.11"
  echo "  - pip"
  echo "  - pip:"
  echo "$pins" | sed 's/^/      - /'
} >"$here/relax.yaml"
