"""A private run over the example's table: what everybody knows of its features, and a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from fed_audience.federation import Manifest
from fed_audience.federation.manifest import overrides_for
from fed_audience.federation.private import site_run
from fed_audience.federation.private.public_values import PublicValues
from fed_audience.federation.private.recipe import private_parameters
from fed_audience.privacy.dp.plan import PrivacyTerms
from tests.federation.example import FEATURES

PUBLIC = (
    PublicValues("spend", 0, 1000),
    PublicValues("visits", 0, 15),
    PublicValues("age", 0, 100),
    PublicValues("country", categories=tuple(f"country {i}" for i in range(1, 41))),
    PublicValues("channel", categories=("web", "app", "shop")),
)


def private_manifest(sites: Sequence[str], epsilon: float = 4.0, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "run_id": "private run",
        "model_name": "repurchase",
        "task": "propensity",
        "features": FEATURES,
        "label": "label",
        "row_key": "customer",
        "sites": tuple(sites),
        "overrides": overrides_for(tuple(sites), tuple(sites)),
        "privacy": PrivacyTerms(epsilon, 1e-6),
        "public": PUBLIC,
        "parameters": private_parameters(epsilon, len(FEATURES), 2**20),
    }
    return Manifest(**fields | changes)


@contextmanager
def no_noise(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let sites draw zeros, to see what the noise is added to."""
    with patch.context() as silent:
        silent.setattr(
            site_run, "discrete_gaussian", lambda _, size: np.zeros(size, dtype=np.int64)
        )
        yield
