#!/usr/bin/env bash
# Make an environment in $2, with the uv of $1, for the peers that are too large for everyone's.
set -euo pipefail
uv=$1/bin/uv python=$1/bin/python venv=$2
"$uv" venv --quiet --clear --python "$python" "$venv"
# Without its dependencies: NCCL is 0.4 GB and loaded only for several graphics cards.
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps xgboost==3.2.0
# numpy as in $1, so that both environments generate the same tables.
numpy=$("$python" -c 'import numpy; print(numpy.__version__)')
"$uv" pip install --quiet --python "$venv/bin/python" "numpy==$numpy" 'scipy>=1.15,<2'
# Built from source: where that fails, the results say so.
"$uv" pip install --quiet --python "$venv/bin/python" fedtree==1.0.5 'scikit-learn>=1.6,<2' ||
  echo "bench-peers: fedtree 1.0.5 cannot be installed here; its lines will say so" >&2
