"""Measure over several draws what trees of its own bring each of the shifted brands.

    python examples/shifted_brands/compare.py --seeds 10

Prints, for each brand, the AUC of its own copy (the shared model, with trees of its own where it
chose them) minus the better of the shared model and its own model: mean and worst.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings

if TYPE_CHECKING:
    from collections.abc import Sequence


def advantages(seed: int, rows: Sequence[int], test_rows: int, threads: int) -> dict[str, float]:
    """AUC of each brand's own copy minus the better of the trunk and the brand alone."""
    generating = _generate()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "brands.parquet"
        training, test = generating.generate(seed, rows, test_rows)
        generating.write(training, out)
        generating.write(test, generating.test_file(out))
        outcome = simulate(
            SimulationSettings(
                out,
                "bought",
                test=generating.test_file(out),
                site_column="brand",
                compare=True,
                threads=threads,
            )
        )
    found = {}
    assert outcome.brand_comparison is not None  # noqa: S101 - it was asked for
    for brand in outcome.brand_comparison.brands:
        others = [one.value for one in (brand.trunk, brand.alone) if one]
        if brand.continued and others:
            found[brand.name] = brand.continued.value - max(others)
    return found


def _generate() -> Any:
    path = Path(__file__).with_name("generate.py")
    spec = importlib.util.spec_from_file_location("shifted_brands_generate", path)
    assert spec is not None  # noqa: S101 - the file is beside this one
    assert spec.loader is not None  # noqa: S101 - the same
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    generating = _generate()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs=5, default=generating.ROWS)
    parser.add_argument("--test-rows", type=int, default=generating.TEST_ROWS, help="of each brand")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    gained: dict[str, list[float]] = {}
    for seed in range(chosen.seeds):
        for name, value in advantages(seed, chosen.rows, chosen.test_rows, chosen.threads).items():
            gained.setdefault(name, []).append(value)
    for name, values in gained.items():
        print(f"{name}: mean {np.mean(values):+.4f}, worst {min(values):+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
