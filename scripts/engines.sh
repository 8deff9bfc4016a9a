#!/usr/bin/env bash
# Make an environment in $2, with the uv of $1 and all that $1 holds, for the engines whose drivers are
# too large for everyone's: Spark, and a fake of Snowflake that wants a sqlglot of its own.
set -euo pipefail
uv=$1/bin/uv python=$1/bin/python venv=$2
command -v java >/dev/null || {
  echo "test-engines: Spark needs Java 17. On Debian: apt-get install -y openjdk-17-jre-headless" >&2
  exit 1
}
"$uv" venv --quiet --clear --python "$python" "$venv"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$("$venv/bin/python" -c \
  'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_everything_else.pth"
# duckdb as in $1: a file of the one can be read by the other.
duckdb=$("$python" -c 'import duckdb; print(duckdb.__version__)')
"$uv" pip install --quiet --python "$venv/bin/python" "duckdb==$duckdb" 'pyspark>=4.0,<4.4' \
  'snowflake-connector-python>=4,<5' 'fakesnow[server]>=0.12,<0.13' \
  'google-cloud-bigquery>=3.30,<4' 'google-cloud-bigquery-storage>=2.30,<3' \
  'databricks-sql-connector>=4,<5'
