"""Fixtures of this folder."""

from __future__ import annotations

from tests.jobs.small_federation import small_federation, small_federation_template

__all__ = ["small_federation", "small_federation_template"]
