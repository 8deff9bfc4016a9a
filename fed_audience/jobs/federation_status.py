"""How a federation stands: who is connected, who signed, which runs there were, what is amiss."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError
from fed_audience.federation.messages.members import FeatureReport
from fed_audience.files import write_whole
from fed_audience.jobs.feature_report import MUCH_MOVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fed_audience.federation.contract.signing import SignedContract
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.jobs.coordinator_program import View
    from fed_audience.jobs.run_book import RunRecord

STATUS_FILE = "status.json"
STATUS_KIND = "status"
RUNS_SHOWN = 20
ANOTHER_SCALE = 10.0
"""Medians of one feature at two brands this many times apart are hardly in the same unit."""


class SiteStatus(StrictModel):
    """One site. ``seen``: when it was heard last, naive UTC; ``software``: its version."""

    site: str
    connected: bool
    signed: bool
    software: str | None = None
    seen: datetime | None = None
    features: dict[str, dict[str, FeatureReport]] = Field(default_factory=dict)
    refused: dict[str, str] = Field(default_factory=dict)


class RunStatus(StrictModel):
    """One run, without its manifest and model."""

    run: str
    model: str
    stage: str
    sites: tuple[str, ...]
    began: datetime
    ended: datetime | None
    status: str | None
    why: str
    model_sha256: str | None


class RetrainingStatus(StrictModel):
    """A model of the site that asked, which ``people`` have a part in who withdrew since.

    ``since`` the first of them did, until ``retrain_by`` it may go on without being trained anew;
    naive UTC. It is found at the site, and no coordinator hears of it.
    """

    site: str
    model: str
    version: str
    people: int
    since: datetime
    retrain_by: datetime
    overdue: bool


class FederationStatus(StrictModel):
    """The whole. ``waits``: model -> site -> for what; ``trees``: of the run under way.

    ``retraining`` is filled in at a site, of its own models; ``retraining_unknown``: why it is not.
    """

    federation: str
    at: datetime
    contract_sha256: str | None
    trouble: str
    sites: tuple[SiteStatus, ...]
    waits: dict[str, dict[str, str]]
    run: str | None
    trees: tuple[int, int]
    runs: tuple[RunStatus, ...]
    retraining: tuple[RetrainingStatus, ...] = ()
    retraining_unknown: str = ""


def status_of(
    federation: str,
    signed: SignedContract | None,
    roster: Sequence[str],
    connected: Sequence[str],
    view: View,
    runs: Sequence[RunRecord],
    at: datetime,
) -> FederationStatus:
    """Put together how the federation stands at ``at`` (naive UTC)."""
    return FederationStatus(
        federation=federation,
        at=at,
        contract_sha256=None if signed is None else signed.contract.sha256,
        trouble=view.trouble,
        sites=tuple(_site(site, signed, site in connected, view) for site in sorted(roster)),
        waits={one.model: dict(one.waits) for one in view.decisions.values() if one.waits},
        run=view.run,
        trees=view.trees,
        runs=tuple(_run(record) for record in runs[-RUNS_SHOWN:]),
    )


def write_status(status: FederationStatus, file: Path) -> None:
    """Keep the status beside the program, for `federation status`."""
    write_whole(file, status.model_dump_json(indent=1).encode(), "the status")


def read_status(text: bytes) -> FederationStatus:
    """Read ``write_status`` back. Raises FederationError."""
    try:
        return FederationStatus.model_validate_json(text)
    except ValueError:
        raise FederationError(
            "the coordinator's status cannot be read",
            value=f"{len(text)} bytes",
            fix="run the same version of fed-audience here and at the coordinator",
        ) from None


def status_lines(status: FederationStatus) -> list[str]:
    """Say the whole in words, a line each."""
    lines = [f"{status.federation} at {status.at:%Y-%m-%d %H:%M:%S} UTC"]
    if status.trouble:
        lines.append(f"no contract yet: {status.trouble}")
    for site in status.sites:
        words = [
            "connected" if site.connected else "NOT CONNECTED",
            "signed" if site.signed else "NOT SIGNED",
            f"version {site.software}" if site.software else "",
            f"seen {site.seen:%Y-%m-%d %H:%M:%S}" if site.seen else "never seen",
        ]
        lines.append(f"  {site.site}  {', '.join(filter(None, words))}")
    for model, waits in sorted(status.waits.items()):
        lines += [f"  model {model} waits: {name} {why}" for name, why in sorted(waits.items())]
    if status.run:
        lines.append(
            f"  run {status.run} is under way, {status.trees[0]} of {status.trees[1]} trees"
        )
    for run in status.runs:
        detail = (run.model_sha256 or "")[:12] or run.why
        ending = run.status or run.stage
        lines.append(f"  {run.began:%Y-%m-%d %H:%M}  {run.run}  {ending}  {detail}")
    for due in status.retraining:
        late = "OVERDUE since" if due.overdue else "due by"
        lines.append(
            f"  model {due.model} {due.version} at {due.site}: {due.people:,} of its training set"
            f" withdrew, the first {due.since:%Y-%m-%d}; retraining is {late}"
            f" {due.retrain_by:%Y-%m-%d}"
        )
    if status.retraining_unknown:
        lines.append(f"  until when models are to be trained again: {status.retraining_unknown}")
    return lines


def feature_findings(contract: Contract, sites: Sequence[SiteStatus]) -> list[str]:
    """Say what is missing, of another type, of another scale, or has moved, a line each."""
    found = [
        f"{site.site}: {model}: {reason}"
        for site in sites
        for model, reason in sorted(site.refused.items())
    ]
    for terms in contract.models:
        for feature in terms.features:
            told = {
                site.site: report
                for site in sites
                if (report := site.features.get(terms.name, {}).get(feature.name)) is not None
            }
            found += _about(f"{terms.name}.{feature.name}", feature.type, told)
    return found


def _about(place: str, kind: str, told: Mapping[str, FeatureReport]) -> list[str]:
    found = []
    for site, report in sorted(told.items()):
        if report.type is None:
            found.append(f"{site}: {place} is missing")
        elif report.type != kind:
            found.append(f"{site}: {place} is a {report.type}, the contract says {kind}")
        if report.filled == 0.0:
            found.append(f"{site}: {place} is empty")
        if report.moved is not None and report.moved >= MUCH_MOVED:
            found.append(
                f"{site}: {place} has moved since the last training "
                f"(stability index {report.moved:.2f}, from {MUCH_MOVED} it is another feature)"
            )
    middles = {site: abs(report.middle) for site, report in told.items() if report.middle}
    if len(middles) > 1:
        low, high = min(middles, key=middles.__getitem__), max(middles, key=middles.__getitem__)
        if middles[high] >= ANOTHER_SCALE * middles[low]:
            found.append(
                f"{high}: {place} is around {middles[high]:g}, at {low} around "
                f"{middles[low]:g}: is it the same unit?"
            )
    return found


def _site(site: str, signed: SignedContract | None, connected: bool, view: View) -> SiteStatus:  # noqa: FBT001 - a fact of the site
    state = view.states.get(site)
    offers = state.offers if state else ()
    return SiteStatus(
        site=site,
        connected=connected,
        signed=signed is not None and signed.is_signed_by(site),
        software=state.software if state else None,
        seen=view.seen.get(site),
        features={offer.model: dict(offer.features) for offer in offers if offer.features},
        refused={offer.model: offer.refused for offer in offers if offer.refused},
    )


def _run(record: RunRecord) -> RunStatus:
    outcome = record.outcome
    return RunStatus(
        run=record.run,
        model=record.model,
        stage=record.stage,
        sites=record.sites,
        began=record.began,
        ended=record.ended,
        status=None if outcome is None else outcome.status,
        why="" if outcome is None else outcome.why,
        model_sha256=record.model_sha256,
    )
