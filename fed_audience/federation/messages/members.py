"""What coordinator and agents tell each other beside the rounds: strict JSON, each with its kind.

The coordinator asks, an agent answers. Nothing here holds a row, or a number of fewer than a table.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Words = Annotated[str, Field(max_length=2_000)]
MessageT = TypeVar("MessageT", bound="MemberMessage")


class MemberMessage(StrictModel):
    """Base of all. ``reveals`` says in plain words what it holds of its sender."""

    kind: ClassVar[str]
    reveals: ClassVar[str]

    def encode(self) -> bytes:
        """Return the JSON."""
        return self.model_dump_json().encode()


class Greeting(MemberMessage):
    """The coordinator asks a site how it stands, and shows what the sites have signed so far.

    ``contract``: a contract file. ``approvals``: site -> signature under the roster.
    """

    kind: ClassVar[str] = "greeting"
    reveals: ClassVar[str] = "The contract, and who has signed it."
    contract: str
    approvals: dict[Name, Signature]


class FeatureReport(StrictModel):
    """What a site may tell of one feature; what it may not, or does not know, is null.

    ``type``: number or category. ``filled``: share of rows with a value. ``moved``: population
    stability index against the last training. ``middle``: the median, to one digit.
    """

    type: Literal["number", "category"] | None
    filled: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    moved: Annotated[float, Field(ge=0.0)] | None = None
    middle: float | None = None


class Offer(StrictModel):
    """A model whose training dbt has asked for at the site, and whose table is as was agreed.

    ``refused``: why it cannot be trained, empty when it can; ``features``: as far as the site
    may tell; ``rows``: a band.
    """

    model: Name
    refused: Words = ""
    features: dict[str, FeatureReport] = Field(default_factory=dict)
    rows: Annotated[str, Field(max_length=40)] | None = None


class State(MemberMessage):
    """How a site stands.

    ``contract_sha256`` and ``signature``: what it signed last; ``approval``: under the roster.
    ``run``: the run that it holds, ``ended``: that whose outcome it has registered last.
    """

    kind: ClassVar[str] = "state"
    reveals: ClassVar[str] = (
        "Which models are queued, whether their table fits the contract, and of its features what "
        "the contract lets the site report."
    )
    software: Annotated[str, Field(max_length=60)] | None
    contract_sha256: Sha256 | None
    signature: Signature | None
    approval: Signature | None
    offers: tuple[Offer, ...]
    run: RunId | None
    ended: RunId | None


class Proposal(MemberMessage):
    """The coordinator proposes a run.

    ``earlier``: the run whose model is kept when every site says that nothing has changed since.
    """

    kind: ClassVar[str] = "proposal"
    reveals: ClassVar[str] = (
        "The manifest of a run: who takes part, with which parameters; and which run of the model "
        "was the last one."
    )
    manifest: str
    earlier: RunId | None = None


class Acceptance(MemberMessage):
    """Whether the site takes part; ``reason`` in words where it does not.

    ``unchanged``: the site holds the model of the ``earlier`` run, and all that it would bring to
    this one is as it was then. Never said of a run with noise.
    """

    kind: ClassVar[str] = "acceptance"
    reveals: ClassVar[str] = (
        "Whether the site takes part, and why not if its contract lets it say; one bit: whether "
        "its consented rows, its spec and the contract are all as in the run before. Of a run with "
        "noise that bit is always no."
    )
    accepted: bool
    reason: Words = ""
    unchanged: bool = False


class ModelPart(MemberMessage):
    """A part of what a successful run made, before its outcome: see ``Made``.

    ``offset``: of ``data`` (base64) in the bytes of all parts.
    """

    kind: ClassVar[str] = "model part"
    reveals: ClassVar[str] = "The model that all sites made, its measures over all sites."
    run: RunId
    offset: Annotated[int, Field(ge=0)]
    data: str


class PartKept(MemberMessage):
    """The site holds ``size`` bytes of what the run made."""

    kind: ClassVar[str] = "part kept"
    reveals: ClassVar[str] = "How much of the model has arrived."
    size: Annotated[int, Field(ge=0)]


class Outcome(MemberMessage):
    """How a run ended, told to every site of it.

    'unchanged': every site said so, no round was asked for, and the model before is kept.
    ``made_sha256``: of the parts that were sent before, when it succeeded. ``again``: the request
    of a run that did not succeed is queued anew, unless the site ends it. ``bytes_up``: what left
    the site that is told.
    """

    kind: ClassVar[str] = "outcome"
    reveals: ClassVar[str] = "Whether the run succeeded, and why not."
    run: RunId
    status: Literal["succeeded", "unchanged", "failed", "cancelled"]
    again: bool = True
    why: Words = ""
    made_sha256: Sha256 | None = None
    bytes_up: Annotated[int, Field(ge=0)] | None = None


class Made(StrictModel):
    """What a successful run made: model in LightGBM's format, JSON of encoder and metrics.

    ``base_scores``: of all brands, where each has its own.
    """

    model_text: str
    encoder: str
    metrics: str | None = None
    base_scores: tuple[float, ...] = ()
    rounds: Annotated[int, Field(ge=0)] = 0
    warnings: tuple[Words, ...] = ()


class Registered(MemberMessage):
    """The site has settled the run. ``model_sha256``: of the text that it holds now."""

    kind: ClassVar[str] = "registered"
    reveals: ClassVar[str] = "That the site has settled the run, and which model it holds."
    run: RunId
    model_sha256: Sha256 | None = None


class CounterSign(MemberMessage):
    """The coordinator asks a site to counter-sign the audit log of a run.

    ``note``: a checkpoint of the log, with the coordinator's signature. ``first``: entries of the
    checkpoint that the site signed last, as the coordinator knows, 0 for none; ``proof``: that the
    new one continues it (RFC 6962, 2.1.2), hashes from leaf to root.
    """

    kind: ClassVar[str] = "counter-sign"
    reveals: ClassVar[str] = "How many entries the log of the run has, and a hash over them."
    run: RunId
    note: Words
    first: Annotated[int, Field(ge=0)]
    proof: Annotated[tuple[Sha256, ...], Field(max_length=64)]


class CounterSigned(MemberMessage):
    """The site's signature line under the log, kept at the site before it is sent.

    Without ``line`` either ``refused`` says why, or the proof must begin at ``last`` entries.
    """

    kind: ClassVar[str] = "counter-signed"
    reveals: ClassVar[str] = "That the site saw the log grow, and has seen no other one."
    last: Annotated[int, Field(ge=0)]
    line: Annotated[str, Field(max_length=500)] | None = None
    refused: Words = ""


class LogWanted(MemberMessage):
    """A site asks for the audit log of a run that it took part in, from byte ``offset`` on."""

    kind: ClassVar[str] = "audit log"
    reveals: ClassVar[str] = "That the site looks at the log of a run."
    run: RunId
    offset: Annotated[int, Field(ge=0)] = 0


class LogPart(MemberMessage):
    """A part of an audit log. ``size``: bytes of the whole as it stands; ``data``: base64."""

    kind: ClassVar[str] = "part of the log"
    reveals: ClassVar[str] = "What the log holds: rounds by their digests, no number of a site."
    size: Annotated[int, Field(ge=0)]
    data: str


ASKED: Final[tuple[type[MemberMessage], ...]] = (
    Greeting,
    Proposal,
    CounterSign,
    ModelPart,
    Outcome,
)
ANSWERED: Final[tuple[type[MemberMessage], ...]] = (
    State,
    Acceptance,
    CounterSigned,
    PartKept,
    Registered,
)


PART_BYTES: Final = 2**19
"""Bytes of a part: with base64 and its frame well below the longest control message."""

LARGEST_MADE: Final = 2**28
"""Most bytes that a site takes as what a run made."""


def decode(kind: type[MessageT], body: bytes) -> MessageT:
    """Read a message of ``kind``. Raises FederationError for anything else."""
    try:
        return kind.model_validate_json(body)
    except ValueError as error:
        raise FederationError(
            f"a message is no {kind.kind}: {str(error).partition(chr(10))[0]}",
            value=f"{len(body)} bytes",
            fix="run the same version of fed-audience at the coordinator and at every site",
        ) from None
