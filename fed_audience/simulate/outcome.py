"""What a simulation found, as it is written to JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.simulate.link import LinkEstimate

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
class Privacy:
    """How the federated run hid what its sites sent; ``sentences`` say it in words.

    From ``epsilon`` on: of a differentially private run, None of others. ``public_values``:
    'declared', or 'read off the table' where some were. ``spent_on``: parts of mu, by release.
    """

    secure_sum: bool
    sites: int
    training_sites: int
    overrides: tuple[str, ...]
    sentences: tuple[str, ...]
    epsilon: float | None = None
    delta: float | None = None
    mu: float | None = None
    unit: str | None = None
    colluders: int | None = None
    epsilon_against_colluders: dict[str, float] | None = None
    spent_on: list[dict[str, Any]] | None = None
    public_values: str | None = None
    budget_book: str | None = None


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """One site on its own test rows.

    ``rows`` and ``positives`` train; positives are of a label of two classes. ``delta`` is how
    much better federated is than alone by ``measure`` (AUC gained, or loss saved) with its 95 %
    interval ``ci`` (paired). ``verdict`` is None where no comparison is possible.
    """

    name: str
    rows: int
    positives: int | None
    test_rows: int
    test_positives: int | None
    measure: str
    auc_alone: float | None
    auc_federated: float | None
    loss_alone: float | None
    loss_federated: float | None
    delta: float | None
    ci: tuple[float, float] | None
    verdict: Verdict | None

    @property
    def alone(self) -> float | None:
        """The measure of the site's own model."""
        return self.loss_alone if self.auc_alone is None else self.auc_alone

    @property
    def federated(self) -> float | None:
        """The measure of the federated model."""
        return self.loss_federated if self.auc_federated is None else self.auc_federated


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure of one model on a site's test rows, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BrandOutcome:
    """What a brand gains by something of its own, on its own test rows; None where unknown.

    ``trunk`` is the federated model as it is; ``brand_base`` adds the brand's own base score,
    ``brand_feature`` tells the model whose customer a row is; ``continued`` adds the brand's own
    trees, ``rounds`` of them, if they won on rows held out at home (``chosen``): otherwise it is
    the trunk.
    """

    name: str
    trunk: Measured | None
    brand_base: Measured | None
    brand_feature: Measured | None
    continued: Measured | None
    chosen: bool
    rounds: int
    alone: Measured | None
    average: Measured | None


@dataclass(frozen=True, slots=True)
class BrandComparison:
    """Every brand's choices by one measure."""

    measure: str
    higher_is_better: bool
    brands: tuple[BrandOutcome, ...]


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
    """The whole result. What does not belong to the task or the objective is None.

    ``mean_shap``: mean |SHAP| of each column in raw scores, over the rows of all sites.
    ``link``: how long the training would take between machines, where a link was described.
    """

    file: str
    task: str
    objective: str
    split: str
    label: str
    positive: str | None
    classes: tuple[str, ...]
    rows: int
    rows_train: int
    rows_test: int
    features: int
    feature_names: tuple[str, ...]
    sites: tuple[str, ...]
    auc: Quality | None
    logloss: Quality | None
    accuracy: Quality | None
    deviance: Quality | None
    rmse: Quality | None
    mae: Quality | None
    model_sha256: ModelHashes
    seconds: Seconds
    threads: int
    rounds: int
    bytes_up_per_site: tuple[int, ...]
    largest_message: str
    privacy: Privacy
    per_site: tuple[SiteOutcome, ...]
    lookalike: LookalikeOutcome | None
    brand_comparison: BrandComparison | None
    mean_shap: dict[str, float] | None
    link: LinkEstimate | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    parameters: dict[str, Any]

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
