#!/usr/bin/env bash
# Make an environment in $2, with the uv of $1, that holds the oldest dbt that the package runs on.
set -euo pipefail
uv=$1/bin/uv python=$1/bin/python venv=$2
"$uv" venv --quiet --clear --python "$python" "$venv"
# duckdb as in $1: a file of the one can be read by the other.
duckdb=$("$python" -c 'import duckdb; print(duckdb.__version__)')
"$uv" pip install --quiet --python "$venv/bin/python" 'dbt-core>=1.10,<1.11' 'dbt-duckdb>=1.9,<1.11' "duckdb==$duckdb"
