"""Fixtures of this folder."""

from __future__ import annotations

from tests.jobs.overlap_brands import pair, pair_template
from tests.jobs.small_federation import (
    small_federation,
    small_federation_template,
    small_postgres_federation,
    trained,
    trained_template,
)
from tests.jobs.three_organisations import (
    organisations,
    organisations_template,
    quick_folder,
    signed,
    signed_template,
    undisturbed_model,
)

__all__ = [
    "organisations",
    "organisations_template",
    "pair",
    "pair_template",
    "quick_folder",
    "signed",
    "signed_template",
    "small_federation",
    "small_federation_template",
    "small_postgres_federation",
    "trained",
    "trained_template",
    "undisturbed_model",
]
