"""Rows of two engines, compared one by one."""

from __future__ import annotations

import math
from typing import Any


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Compare row by row, in the order of their first two columns.

    Which dbt command built a row is its own; sums of doubles may differ in their last bits, as the
    order of what is summed does.
    """
    assert len(ours) == len(theirs)
    for one, other in zip(_ordered(ours), _ordered(theirs), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            expected = other[name]
            if isinstance(value, float) and isinstance(expected, float):
                assert math.isclose(value, expected, rel_tol=1e-12, abs_tol=1e-12), name
            else:
                assert value == expected, (name, value, expected)


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{k: v for k, v in row.items() if k != "_fed_build_id"} for row in rows]
    return sorted(kept, key=lambda row: repr(list(row.values())[:2]))
