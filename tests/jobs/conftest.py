"""Fixtures of this folder."""

from __future__ import annotations

from tests.jobs.overlap_brands import pair, pair_template
from tests.jobs.small_federation import (
    small_federation,
    small_federation_template,
    small_postgres_federation,
)

__all__ = [
    "pair",
    "pair_template",
    "small_federation",
    "small_federation_template",
    "small_postgres_federation",
]
