# Finds Python and makes virtual environments from lock files; sourced by the other scripts.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PIP_DISABLE_PIP_VERSION_CHECK=1

# find_python [MINOR]: prints a Python from 3.11 (3.MINOR) on that can make a virtual environment; PYTHON goes first.
find_python() {
  local candidate tried="" minor="${1:-11}"
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python; do
    [ -n "$candidate" ] || continue
    command -v "$candidate" >/dev/null 2>&1 || continue
    tried="$tried $candidate"
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, '"$minor"'))' >/dev/null 2>&1 || continue
    command -v "$candidate"
    return 0
  done
  {
    echo "No Python from 3.$minor on with its venv and ensurepip modules was found (tried:${tried:- nothing})."
    echo "On Debian and Ubuntu: apt-get install python3-venv. Or name one: PYTHON=/path/to/python3.12 $0"
  } >&2
  return 2
}

# digest PYTHON FILE...: one hash over the interpreter's version and the files.
digest() {
  "$1" - "${@:2}" <<'PY'
import hashlib, sys
seen = hashlib.sha256(sys.version.encode())
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        seen.update(file.read())
print(seen.hexdigest())
PY
}

# venv_from_lock PYTHON DIRECTORY LOCK: makes the environment unless its stamp says that it is up to date.
venv_from_lock() {
  local python="$1" directory="$2" lock="$3" wanted
  wanted="$(digest "$python" "$lock")"
  if [ -x "$directory/bin/python" ] && [ "$(cat "$directory/.stamp" 2>/dev/null)" = "$wanted" ]; then
    return 0
  fi
  echo "Installing ${lock#"$ROOT"/} into ${directory#"$ROOT"/} ..." >&2
  rm -f "$directory/.stamp"
  if [ "$("$directory/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null)" != "$("$python" -c 'import sys; print(sys.version)')" ]; then
    "$python" -m venv --clear "$directory"
  fi
  "$directory/bin/python" -m pip install -qq --require-hashes --no-deps --requirement "$lock" >&2
  printf '%s\n' "$wanted" >"$directory/.stamp"
}
