"""How a coordinator hands a site what a run made, in parts, and how the run ended."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from fed_audience.errors import FederationError
from fed_audience.federation.messages import members as mm

if TYPE_CHECKING:
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.jobs.run_book import RunBook, RunRecord


def tell_outcome(
    link: MemberLink, book: RunBook, record: RunRecord, site: str, seconds: float
) -> None:
    """Tell ``site`` how ``record``'s run ended, and wait until it has settled it.

    ``seconds``: for each answer. Raises FederationError when the site refuses or does not answer.
    """
    if record.outcome is None:
        raise AssertionError("a run has ended with an outcome")
    if record.outcome.status == "succeeded":
        body = book.made(record.run)
        for offset in range(0, len(body), mm.PART_BYTES):
            data = b64encode(body[offset : offset + mm.PART_BYTES]).decode()
            part = mm.ModelPart(run=record.run, offset=offset, data=data)
            answer = link.ask(site, mm.ModelPart.kind, part.encode(), seconds)
            mm.decode(mm.PartKept, answer)
    told = record.outcome.model_copy(update={"bytes_up": record.bytes_up.get(site)})
    answer = link.ask(site, mm.Outcome.kind, told.encode(), seconds)
    settled = mm.decode(mm.Registered, answer)
    if settled.run != record.run:
        raise FederationError(
            f"site {site} settled another run",
            value=settled.run,
            limit=record.run,
            fix="look at the agent's log, and at its run.json",
        )
