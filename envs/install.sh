#!/usr/bin/env bash
# Make a virtual environment with the pinned packages and this project: envs/install.sh DIRECTORY
# PYTHON names the interpreter to use; without it the first usable one on PATH is taken.
set -u
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() {
  echo "make: $1" >&2
  rm -rf "$venv"
  exit 1
}

usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python=
for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python}; do
  if usable "$candidate"; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || fail "no usable Python found: install Python 3.11 or newer with its venv module, or name one with PYTHON=/path/to/python make"

rm -rf "$venv"
echo "Installing the pinned environment into $venv with $("$python" --version); this takes a minute or two ..."
"$python" -m venv "$venv" >"$log" 2>&1 || fail "could not create $venv: $(tail -n 1 "$log")"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2)
if ! "${pip[@]}" --requirement "$here/requirements.lock" >"$log" 2>&1 ||
  ! "${pip[@]}" --no-deps --no-build-isolation --editable "$here/.." >"$log" 2>&1; then
  if grep -qiE 'NewConnectionError|name resolution|ConnectTimeout|ProxyError|Network is unreachable|Connection refused|Max retries' "$log"; then
    fail "the package index could not be reached: check the network (or pip's index and proxy settings) and run make again"
  fi
  fail "installing the packages failed: $(grep -iE '^ERROR' "$log" | head -n 1)"
fi
