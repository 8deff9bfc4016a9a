"""The closed list of what an audit log may say. What has no field here cannot be recorded.

No entry has room for a sum, a seed, a private key, an identifier or an exact count of people:
counts are bands, message digests are keyed, free text is short and holds no address or number.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from fed_audience.audit.fields import (
    Band,
    Count,
    Digest,
    Figure,
    Instant,
    KeyText,
    MessageType,
    Name,
    ProcessingRecord,
    ReceivedMessage,
    RunName,
    SiteRows,
    Statement,
    canonical,
)
from fed_audience.config import StrictModel

SCHEMA_VERSION: Final = 1


class Entry(StrictModel):
    """Base of all entries: its place in the log, its instant (UTC), the checkpoint before it.

    ``checkpoint``: entries that the last checkpoint before this entry covers.
    """

    sequence: Count
    at: Instant
    checkpoint: Count


class LogOpened(Entry):
    """The first entry: whose log this is, and the public keys of everybody who signs it.

    ``one_process``: coordinator and sites ran as one program, so one machine held all the keys.
    ``packages_sha256``: hash of the installed packages and their versions.
    """

    type: Literal["log_opened"] = "log_opened"
    schema_version: Literal[1] = SCHEMA_VERSION
    origin: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/\-]{1,300}$")]
    federation: Name
    coordinator_key: KeyText
    site_keys: Annotated[tuple[KeyText, ...], Field(min_length=1)]
    one_process: bool
    software: Annotated[str, Field(pattern=r"^fed-audience [0-9A-Za-z.+]{1,40}$")]
    packages_sha256: Digest


class LogRecovered(Entry):
    """The log was continued after a crash: how much of it was not finished.

    ``bytes_dropped``: of a last line that was cut short. ``entries_kept``: signed by the
    coordinator, and by the sites only at the checkpoint that follows.
    """

    type: Literal["log_recovered"] = "log_recovered"
    bytes_dropped: Count
    entries_kept: Count


class RunStarted(Entry):
    """What all sites agreed on before the first round.

    ``secure``: sums are masked; ``overrides``: rules of the secure sum that all sites set aside.
    ``rows`` are not told of a training with noise, which does not tell them either, nor of one
    between organisations, whose coordinator does not know them. ``configuration_sha256``: hash of
    the settings, or of the contract that all sites signed where they are organisations apart.
    """

    type: Literal["run_started"] = "run_started"
    run: RunName
    model: Name
    task: Literal["propensity", "lookalike", "demand", "multiclass"]
    manifest_sha256: Digest
    configuration_sha256: Digest
    features_sha256: Digest
    sites: Annotated[tuple[Name, ...], Field(min_length=1)]
    label_sites: Annotated[tuple[Name, ...], Field(min_length=1)]
    rows: tuple[SiteRows, ...]
    secure: bool
    overrides: tuple[Literal["one_site", "small_change", "two_sites"], ...] = ()
    record: ProcessingRecord | None


class PrivacyPromised(Entry):
    """The training adds noise: what leaves a site is (``epsilon``, ``delta``)-private for a row.

    ``mu``: of Gaussian differential privacy, what every site's budget is charged; ``colluders``:
    sites that may give their noise away without breaking the promise.
    """

    type: Literal["privacy_promised"] = "privacy_promised"
    epsilon: Figure
    delta: Figure
    mu: Figure
    colluders: Count


class BudgetCharged(Entry):
    """What a site's data set has spent over all its noisy runs, this one included.

    ``epsilon`` of ``limit_epsilon``, at ``delta``. ``book``: hash of the whole budget book.
    """

    type: Literal["budget_charged"] = "budget_charged"
    site: Name
    epsilon: Figure
    limit_epsilon: Figure
    delta: Figure
    book: Digest


class RunResumed(Entry):
    """The training goes on after it rested or its coordinator was stopped; no round is undone."""

    type: Literal["run_resumed"] = "run_resumed"
    run: RunName


class RoundSummed(Entry):
    """One exchange. ``tree`` and ``level`` as in the protocol; digests are keyed.

    ``sent``: digest of the request; ``aggregate``: of the sum, where the replies are vectors.
    """

    type: Literal["round_summed"] = "round_summed"
    run: RunName
    tree: Annotated[int, Field(ge=-1, le=2**31 - 1)]
    level: Count
    attempt: Count
    kind: MessageType
    cohort_sha256: Digest
    sent: Digest
    received: tuple[ReceivedMessage, ...]
    aggregate: Digest | None


class SiteDropped(Entry):
    """A site did not answer a round."""

    type: Literal["site_dropped"] = "site_dropped"
    run: RunName
    site: Name
    tree: Annotated[int, Field(ge=-1, le=2**31 - 1)]
    level: Count
    attempt: Count


class Decision(Entry):
    """What was decided about a run, for a reason of a closed list."""

    type: Literal["decision"] = "decision"
    decision: Literal["stop_training"]
    reason: Literal["all_trees", "early_stopping", "no_gain", "site_missing"]
    trees_grown: Count
    trees_kept: Count


class Overridden(Entry):
    """A named person let something pass that a rule refuses."""

    type: Literal["overridden"] = "overridden"
    rule: Literal["brand_difference", "minimum_sites", "removal_guard", "small_change"]
    subject: Name
    reason: Statement
    person: Statement


class ModelTrained(Entry):
    """The model that came out."""

    type: Literal["model_trained"] = "model_trained"
    model: Name
    version: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    model_sha256: Digest
    encoder_sha256: Digest


class ModelRegistered(Entry):
    """The model was handed to a site, which holds it in its own warehouse."""

    type: Literal["model_registered"] = "model_registered"
    model: Name
    model_sha256: Digest
    site: Name


class RunEnded(Entry):
    """The last entry of a training. ``error``: the class of what broke it, never its text."""

    type: Literal["run_ended"] = "run_ended"
    status: Literal["succeeded", "failed", "interrupted"]
    error: Annotated[str, Field(pattern="^[A-Z][A-Za-z]{0,62}$")] | None = None


class Scored(Entry):
    """A site scored its own customers, at home."""

    type: Literal["scored"] = "scored"
    model: Name
    model_sha256: Digest
    site: Name
    as_of: Instant
    customers: Band


class AudienceBuilt(Entry):
    """A site cut an audience from its scores."""

    type: Literal["audience_built"] = "audience_built"
    audience: Name
    model: Name
    site: Name
    purpose: Annotated[str, Field(pattern="^[a-z_]{1,40}(:[a-z0-9_]{1,63})?$")]
    as_of: Instant
    eligible: Band
    chosen: Band


class AudienceDelivered(Entry):
    """A site brought its audience to a destination, consent asked before each batch."""

    type: Literal["audience_delivered"] = "audience_delivered"
    audience: Name
    site: Name
    destination: Name
    purpose: Annotated[str, Field(pattern="^[a-z_]{1,40}(:[a-z0-9_]{1,63})?$")]
    as_of: Instant
    status: Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
    withdrawn: Band
    removed: Band
    added: Band
    updated: Band
    rejected: Band
    held_back: Band


class ProcessingDeclared(Entry):
    """What the federation declares of processing outside of a training, such as an overlap."""

    type: Literal["processing_declared"] = "processing_declared"
    record: ProcessingRecord


class OverlapCompared(Entry):
    """A site let its customers be compared with a partner's, each of them consenting to it.

    ``query``: hash of the terms. ``audience``: that the asking site's list was restricted to.
    ``number``: of the site's queries with this partner in the month.
    """

    type: Literal["overlap_compared"] = "overlap_compared"
    query: Digest
    site: Name
    partner: Name
    side: Literal["asked", "answered"]
    purpose: Annotated[str, Field(pattern="^[a-z_]{1,40}(:[a-z0-9_]{1,63})?$")]
    matched_by: Literal["email", "phone"]
    audience: Name | None
    as_of: Instant
    listed: Band
    number: Count


class OverlapReleased(Entry):
    """A site was told how many customers it has in common with a partner, with noise.

    ``overlap``: None when it lies below the threshold, and nothing more was told.
    """

    type: Literal["overlap_released"] = "overlap_released"
    query: Digest
    site: Name
    partner: Name
    overlap: Band | None


AnyEntry = (
    LogOpened
    | LogRecovered
    | RunStarted
    | PrivacyPromised
    | BudgetCharged
    | RunResumed
    | RoundSummed
    | SiteDropped
    | Decision
    | Overridden
    | ModelTrained
    | ModelRegistered
    | RunEnded
    | Scored
    | AudienceBuilt
    | AudienceDelivered
    | ProcessingDeclared
    | OverlapCompared
    | OverlapReleased
)
_ANY: Final[TypeAdapter[Entry]] = TypeAdapter(
    Annotated[AnyEntry, Field(discriminator="type")]  # type: ignore[arg-type, maybe-unrecognized-str-typeform]  # mypy does not follow the alias into Annotated
)


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of an entry, a leaf of the tree."""
    return canonical(entry)


def decode_entry(leaf: bytes) -> Entry:
    """Read ``encode_entry`` back; raises ValueError unless it gives the same bytes again."""
    entry = _ANY.validate_json(leaf)
    if encode_entry(entry) != leaf:
        raise ValueError("it is not in canonical form")
    return entry
