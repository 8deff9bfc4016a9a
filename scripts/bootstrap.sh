#!/usr/bin/env bash
# Make a ready environment in $1 on a machine that has only Python 3.11 or later.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

fail() { printf 'install: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null ||
  fail "no '$python' on the PATH. Install Python 3.11 to 3.14, or name one: make install PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' ||
  fail "$("$python" --version) is not supported; 3.11 to 3.14 are. Name another: make install PYTHON=python3.12"

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --clear "$venv" ||
    fail "this Python cannot make an environment. On Debian: apt-get install -y python3-venv"
fi
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet 'uv>=0.9,<1'
# Without the engines of the cloud: their drivers weigh as much as all else, and two exclude each other.
extras=(report overlap grpc flare ray postgres)
# Compiled here, not at every start where Python may not write: dbt alone imports 2,000 files.
VIRTUAL_ENV="$PWD/$venv" UV_PROJECT_ENVIRONMENT="$PWD/$venv" \
  "$venv/bin/uv" sync --quiet --locked "${extras[@]/#/--extra=}" --compile-bytecode --python "$venv/bin/python"

"$venv/bin/python" - <<'PY' || exit 1
import sys
try:
    import lightgbm  # noqa: F401
except OSError as error:
    if "libgomp" not in str(error):
        raise
    sys.exit("install: the system library libgomp is missing. "
             "Install it with: apt-get install -y --no-install-recommends libgomp1")
PY
