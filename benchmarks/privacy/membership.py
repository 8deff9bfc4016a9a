"""Membership inference: whether a row was among those that a model was trained on.

The likelihood ratio attack with shadow models (online LiRA: Carlini et al., "Membership Inference
Attacks From First Principles", 2022). Each row of a pool is in half of the models, at random. Every
model is attacked in turn with the others as its shadows: a row's confidence in the attacked model
is compared with what it is in shadows that had the row and in shadows that had not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.learners import auc
from benchmarks.privacy.models import Pool
from benchmarks.real_data import propensity
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.datasets import Floats
    from benchmarks.privacy.models import Trainer

POOL_ROWS: Final = 10_000
MODELS: Final = 64
PRIOR_SHADOWS: Final = 8
"""Weight, in shadow models, of the spread of all rows in the estimate of one row's own."""

EPSILONS: Final = (1.0, 8.0)
RATES: Final = (0.01, 0.001)
"""False positive rates at which the attack is judged."""


def memberships(rows: int, models: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which rows each model is trained on: bool[models, rows], each row in half of them."""
    order = rng.random((models, rows)).argsort(axis=0)
    return order < models // 2


def confidences(train: Trainer, members: NDArray[np.bool_], labels: Floats) -> Floats:
    """Train the models; return each row's log-odds of its true label: float64[models, rows]."""
    signs = np.where(labels == 1, 1.0, -1.0)
    return np.array(
        [signs * train(np.flatnonzero(rows), number) for number, rows in enumerate(members)]
    )


def likelihood_ratios(members: NDArray[np.bool_], confidence: Floats) -> Floats:
    """Score each row against each model, the larger the likelier a member: float64[models, rows].

    The attacked model is left out of the row's own means and spread. Confidences are taken for
    normal; the spread of a row is shrunk towards that of all rows, for it rests on few shadows.
    """
    shadows = len(members) - 1
    squares = np.zeros_like(confidence)
    means = []
    for side in (members, ~members):
        weight = side.astype(float)
        count = weight.sum(axis=0) - weight
        total = (weight * confidence).sum(axis=0) - weight * confidence
        square = (weight * confidence**2).sum(axis=0) - weight * confidence**2
        means.append(total / count)
        squares += square - total**2 / count
    freedom = shadows - 2
    common = squares.mean(axis=1, keepdims=True) / freedom
    variance = (squares + PRIOR_SHADOWS * common) / (freedom + PRIOR_SHADOWS)
    inside, outside = means
    ratios: Floats = ((confidence - outside) ** 2 - (confidence - inside) ** 2) / (2 * variance)
    return ratios


def true_positive_rate(scores: Floats, members: NDArray[np.bool_], rate: float) -> float:
    """Share of members above the score that at most ``rate`` of the others exceed."""
    others = np.sort(scores[~members])[::-1]
    threshold = others[int(rate * len(others))]
    return float((scores[members] > threshold).mean())


def attack(train: Trainer, labels: Floats, models: int, seed: int = 0) -> dict[str, Any]:
    """Train ``models`` models and attack each with the others; return the figures.

    ``_error``: one standard error, over the attacked models. These share rows and shadows, so it
    tells how far models differ rather than how far another pool of rows would lead.
    """
    members = memberships(len(labels), models, np.random.default_rng(seed))
    confidence = confidences(train, members, labels)
    ratios = likelihood_ratios(members, confidence)
    found: dict[str, Any] = {}
    for rate in RATES:
        rates = [
            true_positive_rate(scores, inside, rate)
            for scores, inside in zip(ratios, members, strict=True)
        ]
        name = f"tpr_at_{100 * rate:g}_percent"
        found[name] = round(float(np.mean(rates)), 5)
        found[f"{name}_error"] = round(float(np.std(rates, ddof=1) / np.sqrt(models)), 5)
    found["auc"] = round(float(np.mean(list(map(auc, members, ratios)))), 4)
    found["auc_of_loss"] = round(float(np.mean(list(map(auc, members, confidence)))), 4)
    return found


def measure(rows: int = POOL_ROWS, models: int = MODELS) -> list[dict[str, Any]]:
    """Attack models of each kind; raises UnavailableError without the table."""
    pool = Pool(propensity("adult", 0), rows)
    kinds = {
        "100 trees of depth 6, the default": TrainingParameters(),
        "20 trees of depth 3": TrainingParameters(n_estimators=20, max_depth=3),
    }
    found = [
        {"model": name, "epsilon": None} | attack(pool.trainer(parameters), pool.labels, models)
        for name, parameters in kinds.items()
    ]
    for epsilon in EPSILONS:
        noisy = attack(pool.noisy_trainer(epsilon), pool.labels, models)
        found.append({"model": "trees of one feature, noisy", "epsilon": epsilon} | noisy)
    return found
