"""A small log as a training writes it, with its keys, its witnesses and a clock that counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fed_audience.audit import entries as e
from fed_audience.audit.fields import ProcessingRecord, band
from fed_audience.audit.keys import LOG_KEY, KeyFile, VerifierKey, write_pinned
from fed_audience.audit.log import AuditLog
from fed_audience.audit.witness import Witness

SITES = ("fashion", "grocery", "travel")
RUN = "repurchase-20261001"
RECORD = ProcessingRecord(
    purpose="find customers who are likely to buy again",
    legal_basis="consent (Art. 6(1)(a) GDPR), kept in each brand's ledger",
    controllers=("Fashion Ltd", "Grocery Ltd", "Travel Ltd"),
    data_subjects=("customers who consented",),
    data_categories=("purchases", "visits"),
    retention="models for one year, scores until the next run",
)


def ticking(start: datetime = datetime(2026, 10, 1, tzinfo=UTC)) -> Callable[[], datetime]:
    """A clock that moves a second each time it is asked."""
    ticks = iter(range(1_000_000))
    return lambda: start + timedelta(seconds=next(ticks))


@dataclass
class Parties:
    """The coordinator and three sites of a federation, each with a key in ``folder``."""

    folder: Path
    clock: Callable[[], datetime] = field(default_factory=ticking)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.coordinator = self.key("coordinator")
        self.coordinator_key = VerifierKey(
            self.coordinator.name, LOG_KEY, self.coordinator.public_key
        )
        self.pinned = self.folder / "trusted.keys"
        keys = [self.coordinator_key, *(witness.key for witness in self.witnesses())]
        write_pinned(self.pinned, keys)

    def key(self, name: str) -> KeyFile:
        return KeyFile.open(self.folder / f"{name}.pem", f"brands/{name}")

    def kept(self, site: str) -> Path:
        folder = self.folder / "kept" / site
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{RUN}.checkpoint"

    def witnesses(self) -> list[Witness]:
        return [
            Witness(self.key(site), self.kept(site), self.coordinator_key, self.clock)
            for site in SITES
        ]

    def begin(self, name: str = RUN) -> AuditLog:
        return AuditLog.begin(
            self.folder / f"{name}.jsonl",
            self.coordinator,
            self.witnesses(),
            self.clock,
            origin=f"fed-audience/brands/{RUN}",
            federation="brands",
            one_process=False,
            software="fed-audience 0.1.0",
            packages_sha256="0" * 64,
        )

    def open(self, name: str = RUN) -> AuditLog:
        return AuditLog(
            self.folder / f"{name}.jsonl", self.coordinator, self.witnesses(), self.clock
        )


def start(log: AuditLog) -> None:
    log.append(
        e.RunStarted,
        run=RUN,
        model="repurchase",
        task="propensity",
        manifest_sha256="1" * 64,
        configuration_sha256="2" * 64,
        features_sha256="3" * 64,
        sites=SITES,
        label_sites=SITES,
        rows=[{"site": site, "used": band(4_321), "withdrawn": band(3)} for site in SITES],
        secure=True,
        record=RECORD,
    )


def sum_round(log: AuditLog, tree: int, level: int) -> e.RoundSummed:
    return log.append(
        e.RoundSummed,
        run=RUN,
        tree=tree,
        level=level,
        attempt=0,
        kind="GrowLevel",
        cohort_sha256="4" * 64,
        sent="5" * 64,
        received=[{"site": site, "kind": "LevelHistogram", "digest": "6" * 64} for site in SITES],
        aggregate="7" * 64,
    )


def end(log: AuditLog) -> None:
    log.append(
        e.Decision,
        decision="stop_training",
        reason="all_trees",
        trees_grown=3,
        trees_kept=3,
    )
    log.append(
        e.ModelTrained,
        model="repurchase",
        version="abcdefabcdef",
        model_sha256="abcdefabcdef" + "0" * 52,
        encoder_sha256="8" * 64,
    )
    log.append(e.RunEnded, status="succeeded")


def whole_log(parties: Parties, name: str = RUN) -> Path:
    """A training of three trees, a checkpoint a tree."""
    with parties.begin(name) as log:
        start(log)
        for tree in range(3):
            for level in range(2):
                sum_round(log, tree, level)
            log.checkpoint(durable=False)
        end(log)
    return log.path


def delivered_log(parties: Parties) -> Path:
    """The same, and an audience of its model delivered by one site."""
    path = whole_log(parties)
    with parties.open() as log:
        log.append(
            e.AudienceDelivered,
            audience="top",
            site="fashion",
            destination="crm",
            purpose="activate:email",
            as_of="2026-10-01T00:00:00.000000Z",
            status="succeeded",
            **{name: band(0) for name in ("withdrawn", "removed", "updated", "rejected")},
            held_back=band(0),
            added=band(2_000),
        )
    return path
