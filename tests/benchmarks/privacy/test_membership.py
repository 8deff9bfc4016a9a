"""The likelihood ratio attack finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.privacy.membership import attack, likelihood_ratios, memberships, true_positive_rate

ROWS = 1_000
LABELS = (np.random.default_rng(0).random(ROWS) < 0.3).astype(float)


def public_scores() -> NDArray[np.float64]:
    """What any model says of a row: rows differ far more than membership moves them."""
    return np.random.default_rng(1).normal(0, 3, ROWS)


def memorising(strength: float) -> object:
    """A model whose log-odds of the true label rise by ``strength`` for rows it has seen."""

    def train(members: NDArray[np.int64], number: int) -> NDArray[np.float64]:
        moved = np.zeros(ROWS)
        moved[members] = strength
        noise = np.random.default_rng(100 + number).normal(0, 0.5, ROWS)
        return public_scores() + np.where(LABELS == 1, 1, -1) * moved + noise

    return train


def test_each_row_is_in_half_of_the_models() -> None:
    drawn = memberships(ROWS, 16, np.random.default_rng(0))
    assert (drawn.sum(axis=0) == 8).all()
    assert not (drawn[0] == drawn[1]).all()


def test_a_memorising_model_is_seen_through() -> None:
    found = attack(memorising(2.0), LABELS, 16)  # type: ignore[arg-type]
    assert found["tpr_at_1_percent"] > 0.8
    assert found["auc"] > 0.98
    assert found["auc_of_loss"] < 0.75, "the attack must be more than a threshold on the loss"


def test_a_model_that_ignores_its_rows_is_at_chance() -> None:
    found = attack(memorising(0.0), LABELS, 16)  # type: ignore[arg-type]
    assert found["tpr_at_1_percent"] < 0.02
    assert found["auc"] == pytest.approx(0.5, abs=0.02)


def test_figures_rise_with_memory() -> None:
    rates = [attack(memorising(one), LABELS, 16)["tpr_at_1_percent"] for one in (0.3, 0.8, 1.5)]  # type: ignore[arg-type]
    assert rates[0] < rates[1] < rates[2]


def test_the_attacked_model_tells_nothing_about_its_own_row_statistics() -> None:
    """A row's means and spread come from the shadows: a wild score of the model moves none."""
    rng = np.random.default_rng(4)
    members = memberships(50, 12, rng)
    confidence = rng.normal(size=(12, 50))
    wild = confidence.copy()
    wild[3] += 100
    ours, theirs = likelihood_ratios(members, confidence), likelihood_ratios(members, wild)
    inside = np.array(
        [confidence[members[:, row] & (np.arange(12) != 3), row].mean() for row in range(50)]
    )
    outside = np.array(
        [confidence[~members[:, row] & (np.arange(12) != 3), row].mean() for row in range(50)]
    )
    slope = (theirs[3] - ours[3]) / 100
    assert (np.sign(slope) == np.sign(inside - outside)).all()


def test_the_rate_of_true_positives_is_that_above_the_allowed_alarms() -> None:
    members = np.array([True] * 4 + [False] * 100)
    scores = np.concatenate(([99.5, 98.5, 97.5, 50.0], np.arange(100.0)))
    assert true_positive_rate(scores, members, 0.01) == 0.5
    assert true_positive_rate(scores, members, 0.0) == 0.25
