"""The table of training options says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fed_audience.gbdt.parameters.training_parameters import _RANGES, TrainingParameters

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"
ROWS = {
    found[1]: (found[2].strip().strip("`"), found[3].strip())
    for found in re.finditer(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
}


def test_every_option_is_listed() -> None:
    assert set(ROWS) == {field.name for field in fields(TrainingParameters)}


@pytest.mark.parametrize("field", fields(TrainingParameters), ids=lambda field: field.name)
def test_defaults_and_ranges_are_the_codes(field: object) -> None:
    name = field.name  # type: ignore[attr-defined]
    default, limits = ROWS[name]
    value = getattr(TrainingParameters(), name)
    assert default == ("none" if value == () else str(value))
    if name in _RANGES:
        low, high = _RANGES[name]
        assert limits == f"{low:g} to {high:g}"
