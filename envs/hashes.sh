#!/usr/bin/env bash
# Write requirements.hashes: for each pin of requirements.lock, the SHA-256 of every file that the index
# has of it, for all systems and Pythons. A pin that Python 3.11.0 cannot have is refused.
#
# torch is left out: its builds with and without CUDA bear one version, lie in different indexes, and
# bring different packages along.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet uv
grep -vE '^(#|torch==)' "$here/requirements.lock" >"$scratch/pins.in"
"$scratch/venv/bin/uv" pip compile --quiet --python-version 3.11.0 --no-deps --generate-hashes \
  --no-header --no-annotate "$scratch/pins.in" --output-file "$scratch/hashes"
{
  echo "# Written by 'make lock': requirements.lock without torch, with the hash of every file that may be installed."
  cat "$scratch/hashes"
} >"$here/requirements.hashes"
