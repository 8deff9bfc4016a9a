"""What a training ends with: the model, its measures, and the books of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.federation.private.noisy_metrics import NoisyMetrics
    from fed_audience.federation.rounds.books import LargestMessage
    from fed_audience.federation.rounds.boosting import Stopped
    from fed_audience.federation.rounds.protection import Protection
    from fed_audience.gbdt.bins.encoding import Encoder
    from fed_audience.gbdt.evaluation import AnyMetrics
    from fed_audience.gbdt.explanation import FeatureImportance
    from fed_audience.gbdt.models.model import Model
    from fed_audience.privacy.dp.plan import PrivacyPlan


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of all sites together. ``validation_weight``: in the objective's unit of weight."""

    rows: int
    validation_rows: int
    validation_weight: int


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and the books of its run.

    ``metrics`` are those of the kept trees on the validation rows of all sites, None without
    validation rows. ``validation_losses[t]`` is the mean loss after t rounds of trees, of which
    the model keeps ``best_iteration``; ``trees_grown`` counts the rounds dropped after it too. It
    is NaN from when sites left, for the weight of the others' rows is not told.
    ``cohort``: the sites that the last tree was summed over. ``missing``: those without which the
    run could not go on (``stopped`` is then 'site_missing') or not be measured.
    ``base_scores`` are those of all brands: where each brand has its own, the model holds none.
    ``label_cap``: a power of two above every training label, 1 for classes. ``clipped``: share of
    gradients beyond it. ``bytes_up``: what left each site. ``privacy``: what a differentially
    private run promised and spent; its ``counts`` and ``metrics`` are noisy.
    """

    model_text: str
    sha256: str
    encoder: Encoder
    model: Model
    base_scores: tuple[float, ...]
    best_iteration: int
    trees_grown: int
    stopped: Stopped
    metrics: AnyMetrics | NoisyMetrics | None
    validation_losses: tuple[float, ...]
    label_cap: float
    clipped: float
    counts: RowCounts
    rounds: int
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    largest_message: LargestMessage
    importance: Mapping[str, FeatureImportance]
    protection: Protection
    cohort: tuple[str, ...]
    missing: tuple[str, ...]
    privacy: PrivacyPlan | None
    warnings: tuple[str, ...]
