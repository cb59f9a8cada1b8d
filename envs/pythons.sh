#!/usr/bin/env bash
# The tests on every Python from 3.11 to 3.14 that is found here; `make test-pythons`.
#
# Each has an environment of its own, .venv-3.12 and so on, made by envs/install.sh (CPU=1: with the
# build of torch without CUDA). TORCH=no installs no torch: then the lock is resolved for that Python,
# and the tests that need no torch run on the rest of it.
# A Python that fails does not stop the others; the last lines say how each ended.
set -uo pipefail
cd "$(dirname "$0")/.."
versions=(3.11 3.12 3.13 3.14)
lock=envs/requirements.lock
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
ends=()

found() {
  "python$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" >/dev/null 2>&1
}

without_torch() {  # the lock resolved for this Python, and all of it but torch and its kin installed
  local venv=$1 python=$2
  [ -f "$venv/pyvenv.cfg" ] || "$python" -m venv "$venv" || return 1
  local pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet)
  "${pip[@]}" --dry-run --only-binary torch --requirement $lock || return 1
  "${pip[@]}" --no-deps --require-hashes --requirement envs/requirements.hashes || return 1
}

for version in "${versions[@]}"; do
  if ! found "$version"; then
    ends+=("Python $version: not found here")
    continue
  fi
  venv=.venv-$version
  if [ "${TORCH:-}" = no ]; then
    what="the lock resolves; without torch"
    without_torch "$venv" "python$version" >"$log" 2>&1
  else
    what="the lock installed"
    PYTHON=python$version envs/install.sh "$venv" >"$log" 2>&1
  fi
  if [ $? -ne 0 ]; then
    status=1
    ends+=("Python $version: no environment: $(grep -v '^ *$' "$log" | tail -n 1)")
    continue
  fi
  PYTHONPATH=src "$venv/bin/python" -m pytest -n 2 --dist worksteal -q 2>&1 | tee "$log" || status=1
  ends+=("Python $version: $what: $(grep -E ' in [0-9.]+s' "$log" | tail -n 1)")
done
echo
printf '%s\n' "${ends[@]}"
exit $status
