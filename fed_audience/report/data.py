"""Everything a report can show. A section left at None or () is left out of the page.

Shares, rates, AUCs and probabilities are 0 to 1; gains are shares of all positives found; bytes
are bytes; times are naive UTC. Text is plain text: markup in it is shown, never obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

Verdict = Literal["gains", "no difference", "loses"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run this was. ``pooled_sha256`` is given only where rows could be pooled to compare."""

    federation: str
    model: str
    task: Literal["propensity", "lookalike", "demand", "multiclass"]
    as_of: datetime
    sites: tuple[str, ...]
    training_rows: int
    features: int
    trees: int
    rounds: int
    model_sha256: str
    pooled_sha256: str | None = None
    seconds: float | None = None
    version: str | None = None
    generated_data: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """People left after a step, and by which rule each of the others was lost."""

    name: str
    remaining: int
    lost_by_rule: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ConsentFunnel:
    """One brand, from all customers to its training rows."""

    brand: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval; ``low`` and ``high`` are None when there is no interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BrandQuality:
    """How good models are on one brand's own held-out rows, and by how much together is better.

    ``positives``: None where labels are amounts. ``alone`` is None when it could not train alone.
    """

    brand: str
    rows: int
    positives: int | None
    alone: Estimate | None
    federated: Estimate | None
    difference: Estimate | None
    verdict: Verdict | None
    pooled: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """All brands, and the federation as a whole where it was measured.

    ``measure`` says what of: an AUC, or an error, of which a lower one is better.
    """

    brands: tuple[BrandQuality, ...]
    overall: Estimate | None = None
    overall_pooled: Estimate | None = None
    interval: str = "95% interval (DeLong)"
    measure: str = "AUC"

    @property
    def rises(self) -> bool:
        """Whether a higher value is a better one."""
        return self.measure == "AUC"


@dataclass(frozen=True, slots=True)
class LiftPoint:
    """Of the best ``share``: how much richer than average, and how many positives it holds."""

    share: float
    lift: float
    gain: float


@dataclass(frozen=True, slots=True)
class LiftCurve:
    """One brand's curve, or the whole federation's."""

    name: str
    points: tuple[LiftPoint, ...]


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """One group of customers: mean predicted probability and observed rate."""

    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """One brand's curve, lowest scores first."""

    name: str
    points: tuple[CalibrationPoint, ...]


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """How much the model's trees lean on a feature: total gain, and number of splits."""

    feature: str
    gain: float
    splits: int


@dataclass(frozen=True, slots=True)
class PrivacySpending:
    """What a part of the privacy was spent on: vectors sent, and their share of mu^2."""

    what: str
    releases: int
    share: float


@dataclass(frozen=True, slots=True)
class Privacy:
    """What training with noise promised for one ``unit``, such as 'one row at one site'.

    ``epsilon_against[k]`` holds when k sites give their noise away; it was promised against
    ``colluders`` of them. ``measured``: the model's quality over all brands, noise included.
    """

    epsilon: float
    delta: float
    mu: float
    unit: str
    colluders: int
    epsilon_against: tuple[float, ...]
    spent_on: tuple[PrivacySpending, ...]
    measured: str | None = None


@dataclass(frozen=True, slots=True)
class MessageType:
    """A kind of message that a site may send, and in words what it gives away."""

    name: str
    reveals: str


@dataclass(frozen=True, slots=True)
class SiteMessages:
    """How many messages of one type left one site, and their bytes together."""

    site: str
    message_type: str
    messages: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class LargestMessage:
    """The largest message that left any site."""

    site: str
    message_type: str
    sent_bytes: int
    description: str


@dataclass(frozen=True, slots=True)
class Egress:
    """All that left the sites while training.

    ``check`` says in a sentence what was searched for in these bytes, and what was found.
    """

    types: tuple[MessageType, ...]
    sent: tuple[SiteMessages, ...]
    largest: LargestMessage | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True)
class ReachPoint:
    """Reaching the best ``share`` of eligible people, as ``audiences.reach.ReachPoint``."""

    share: float
    count: int
    threshold: float | None = None
    expected: float | None = None
    lift: float | None = None


@dataclass(frozen=True, slots=True)
class AudienceBrand:
    """One brand's part. ``steps`` lead from its customers to its eligible people."""

    brand: str
    requested: int
    eligible: int
    delivered: int
    no_identifier: int
    score: Literal["probability", "amount", "rank"] = "probability"
    steps: tuple[Step, ...] = ()
    reach: tuple[ReachPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience and where it went."""

    name: str
    channel: str
    destinations: tuple[str, ...]
    share: float
    brands: tuple[AudienceBrand, ...]


@dataclass(frozen=True, slots=True)
class LookalikeTarget:
    """Lift at one brand among its best ``share``; ``ceiling`` is that of the hidden truth.

    ``is_seed`` marks the seed brand itself. ``discriminator_auc`` says how far the brand's
    customers differ from the seed brand's (0.5 alike, 1 apart).
    """

    brand: str
    lift: Estimate
    random: float | None = None
    rfm: float | None = None
    ceiling: float | None = None
    discriminator_auc: float | None = None
    discriminator_verdict: str | None = None
    is_seed: bool = False


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A lookalike across brands. ``left_out``: feature and why it was not used."""

    name: str
    mode: Literal["seed_rule", "seed_brand"]
    share: float
    targets: tuple[LookalikeTarget, ...]
    seed_brand: str | None = None
    seeds: int | None = None
    features_kept: int | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    measured_against: str | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync of one audience to one destination. ``sent`` counts records in payloads."""

    label: str
    brand: str
    destination: str
    added: int
    updated: int
    removed: int
    unchanged: int
    rejected: int
    sent: int


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One thing that happened to the person, in order."""

    title: str
    detail: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WithdrawalStory:
    """One person who withdrew, followed through. The id is masked wherever it is shown."""

    customer_id: str
    brand: str
    steps: tuple[StoryStep, ...]


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command worth trying next, and what it shows."""

    command: str
    shows: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """The whole page, in its order."""

    title: str
    run: RunFacts
    consent: tuple[ConsentFunnel, ...] = ()
    quality: Quality | None = None
    lift: tuple[LiftCurve, ...] = ()
    calibration: tuple[CalibrationCurve, ...] = ()
    importance: tuple[FeatureImportance, ...] = ()
    privacy: Privacy | None = None
    egress: Egress | None = None
    audiences: tuple[Audience, ...] = ()
    lookalikes: tuple[Lookalike, ...] = ()
    syncs: tuple[Sync, ...] = ()
    withdrawal: WithdrawalStory | None = None
    warnings: tuple[str, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
