"""One measurement in a process of its own: JSON on standard input, JSON as the last line out."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from benchmarks.learners import UnavailableError
from benchmarks.measuring import Seconds

PACKAGES = ("fed-audience", "numpy", "cryptography", "grpcio")


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """Run the module that ``order`` names; return its rows, or {"unavailable": why}."""
    module = importlib.import_module(order["module"])
    began = Seconds.here()
    try:
        rows = module.measure(**dict(order["options"]))
    except UnavailableError as error:
        return {"unavailable": str(error)}
    return {
        "version": {name: version(name) for name in PACKAGES},
        "seconds": asdict(Seconds.here().since(began)),
        "rows": rows,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
