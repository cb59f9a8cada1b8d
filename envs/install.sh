#!/usr/bin/env bash
# Make a virtual environment with the pinned packages and this project: envs/install.sh DIRECTORY
# PYTHON names the interpreter to use; without it the first usable one on PATH is taken.
# CPU=1 takes torch from PyTorch's own index of builds without CUDA (a tenth of the bytes), or from the
# one that CPU_INDEX names. Where that cannot be had, the usual build is installed, and a line says so.
# On macOS the usual build is without CUDA.
#
# What is downloaded must have the hash in requirements.hashes, but for torch (hashes.sh says why).
#
# An environment that is there stays until the new one is whole: it is set aside, and comes back if
# the installation fails or is interrupted. (One cannot be moved into place: its scripts hold their
# path.) A directory that is no environment is refused.
set -u
venv=${1:?"usage: envs/install.sh DIRECTORY"}
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
aside=$venv.before
begun=

put_back() {
  rm -f "$log"
  [ -n "$begun" ] || return
  rm -rf "$venv"
  if [ -e "$aside" ]; then mv "$aside" "$venv"; fi
}
trap put_back EXIT
trap 'exit 130' INT TERM

fail() {
  echo "make: $1" >&2
  exit 1
}

usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

candidates=(python3.11 python3 python3.12 python3.13 python3.14 python)
if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
python=
for candidate in "${candidates[@]}"; do
  if usable "$candidate"; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || fail "no usable Python found: install Python 3.11 or newer with its venv module, or name one with PYTHON=/path/to/python make"
if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
  if [ ! -d "$venv" ] || [ -n "$(ls -A "$venv")" ]; then
    fail "$venv is there and is no virtual environment: move it, or name another directory"
  fi
fi

# What an installation that was killed has left: the environment from before it comes first.
if [ -e "$aside" ]; then
  rm -rf "$venv"
  mv "$aside" "$venv"
fi
begun=yes
if [ -e "$venv" ]; then mv "$venv" "$aside"; fi
echo "Installing the pinned environment into $venv with $("$python" --version); this takes a minute or two ..."
"$python" -m venv "$venv" >"$log" 2>&1 || fail "could not create $venv: $(tail -n 1 "$log")"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2)
if [ -n "${CPU:-}" ]; then
  # One package from one index, once: were the index added to all, each package would ask for it.
  torch=$(grep '^torch==' "$here/requirements.lock")
  "${pip[@]}" --no-deps --index-url "${CPU_INDEX:-https://download.pytorch.org/whl/cpu}" "$torch" >"$log" 2>&1 ||
    echo "make: the build of torch without CUDA could not be had, so the usual one is installed" >&2
fi
# The lock after its hashes: what is left for it is torch, and what that build alone needs.
if ! "${pip[@]}" --no-deps --require-hashes --requirement "$here/requirements.hashes" >"$log" 2>&1 ||
  ! "${pip[@]}" --requirement "$here/requirements.lock" >"$log" 2>&1 ||
  ! "${pip[@]}" --no-deps --no-build-isolation --editable "$here/.." >"$log" 2>&1; then
  if grep -qiE 'NewConnectionError|name resolution|ConnectTimeout|ProxyError|Network is unreachable|Connection refused|Max retries' "$log"; then
    fail "the package index could not be reached: check the network (or pip's index and proxy settings) and run make again"
  fi
  if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    other=$(grep -oE '^ +[A-Za-z0-9._-]+==[A-Za-z0-9.]+' "$log" | tr -s ' \n' ' ')
    fail "the index gave other files than envs/requirements.hashes knows, of:${other% }; nothing was installed: try another index or mirror"
  fi
  fail "installing the packages failed: $(grep -iE '^ERROR' "$log" | head -n 1)"
fi
begun=
rm -rf "$aside"
