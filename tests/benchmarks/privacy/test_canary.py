"""The canary audit proves too much of what breaks its claim, and never of what keeps it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.privacy.canary import FAR, audit, haystack, scores
from benchmarks.privacy.models import DELTA, Pool
from fed_audience.privacy.dp.accounting import mu_of

ROWS = 10


def shifted_by(shift: float) -> object:
    """A model whose score of the canary is noise, and ``shift`` more if it was trained on it."""

    def train(members: NDArray[np.int64], number: int) -> NDArray[np.float64]:
        noise = np.random.default_rng(number).normal()
        return np.full(ROWS, noise + shift * (ROWS - 1 in members))

    return train


def test_a_claim_that_is_kept_stands_and_most_of_it_is_proved() -> None:
    found = audit(shifted_by(mu_of(8.0, DELTA)), ROWS, 1_000, 8.0)  # type: ignore[arg-type]
    assert 0.5 < found["share_of_claim"] <= 1
    assert found["claimed_mu"] == 1.532


def test_a_claim_that_is_broken_falls() -> None:
    """Noise for epsilon 8 sold as noise for epsilon 1."""
    found = audit(shifted_by(mu_of(8.0, DELTA)), ROWS, 400, 1.0)  # type: ignore[arg-type]
    assert found["share_of_claim"] > 2


def test_the_canary_is_the_last_row_far_from_all_others_and_positive() -> None:
    table = haystack()
    values = table.values(0, table.rows)
    assert (values[:, -1] == FAR).all()
    assert values[:, :-1].max() < 1
    assert table.labels(0, table.rows)[-1] == 1


def test_noisy_models_are_trained_with_the_canary_and_without() -> None:
    """At an epsilon without meaning the canary shows; that the harness can see it is the point."""
    table = haystack(60)
    pool = Pool(table, table.rows)
    inside, outside = scores(pool.noisy_trainer(1e6), table.rows, 3)
    assert inside.min() > outside.max() + 1


def test_everything_is_public_but_the_rows() -> None:
    table = haystack(60)
    public = Pool(table, table.rows).public
    assert [values.feature for values in public] == ["f0", "f1"]
    assert all(values.high == FAR for values in public)
