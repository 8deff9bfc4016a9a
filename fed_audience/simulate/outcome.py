"""What a simulation found, as it is written to JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path

Verdict = Literal["gains", "no difference", "loses"]


@dataclass(frozen=True, slots=True)
class Quality:
    """One metric of every learner on all test rows; None where it is not defined."""

    federated: float | None
    pooled_lightgbm: float | None
    pooled_same_learner: float | None
    site_alone: tuple[float | None, ...]
    site_average: float | None


@dataclass(frozen=True, slots=True)
class ModelHashes:
    """SHA-256 of the whole model text: equal when federating changed nothing."""

    federated: str
    pooled: str


@dataclass(frozen=True, slots=True)
class Seconds:
    """Binning and training; reading and compilation excluded; same number of threads."""

    federated: float
    pooled_lightgbm: float


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """One site on its own test rows.

    ``rows`` and ``positives`` train. ``delta`` is federated minus alone with its 95 % interval
    ``ci`` (DeLong, paired). ``verdict`` is None where no comparison is possible.
    """

    name: str
    rows: int
    positives: int
    test_rows: int
    test_positives: int
    auc_alone: float | None
    auc_federated: float | None
    delta: float | None
    ci: tuple[float, float] | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """A lookalike at one target site, measured against the labels that were hidden from it.

    ``auc_own_labels`` is the ceiling: the site trained on its own labels. ``gap`` is how far the
    lookalike stays below it. ``brand_auc`` is how well the two sites' rows can be told apart.
    ``features_left_out`` gives the reason for each.
    """

    name: str
    test_rows: int
    test_positives: int
    auc: float | None
    lift_at_5_percent: float | None
    auc_own_labels: float | None
    lift_own_labels: float | None
    gap: float | None
    gap_ci: tuple[float, float] | None
    auc_seeds_against_everyone: float | None
    lift_seeds_against_everyone: float | None
    auc_at_seed_site: float | None
    brand_auc: float
    features_used: tuple[str, ...]
    features_left_out: dict[str, str]
    model_sha256: str


@dataclass(frozen=True, slots=True)
class LookalikeOutcome:
    """A lookalike from the seeds of one site; its score is a rank, not a probability."""

    seed_site: str
    seeds: int
    targets: tuple[TargetOutcome, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The whole result. ``lookalike`` is None for a propensity model."""

    file: str
    task: str
    split: str
    label: str
    positive: str
    rows: int
    rows_train: int
    rows_test: int
    features: int
    feature_names: tuple[str, ...]
    sites: tuple[str, ...]
    auc: Quality
    logloss: Quality
    model_sha256: ModelHashes
    seconds: Seconds
    threads: int
    rounds: int
    bytes_up_per_site: tuple[int, ...]
    largest_message: str
    per_site: tuple[SiteOutcome, ...]
    lookalike: LookalikeOutcome | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    parameters: dict[str, float]

    def to_json(self) -> str:
        """Indented JSON; keys are the names of the fields."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(outcome: Outcome, path: Path) -> None:
    """Write the whole file or nothing; raises ResourceError when that is impossible."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(outcome.to_json(), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise ResourceError(
            "the result cannot be written; nothing half-written was kept",
            value=error.strerror,
            looked=str(path),
            fix="free some space, or choose another path with --json",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
