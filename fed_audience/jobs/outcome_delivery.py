"""How a coordinator hands the sites what a run made, in parts, and how the run ended."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from fed_audience.errors import AuditError, FedAudienceError, FederationError, ResourceError
from fed_audience.federation.messages import members as mm

if TYPE_CHECKING:
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.jobs.coordinator_audit import RunAccount, RunAudits
    from fed_audience.jobs.run_book import RunBook, RunRecord

_LOG: Final = logging.getLogger(__name__)


class OutcomeDelivery:
    """Brings outcomes to the sites of ``link``, and to the audit logs. ``seconds``: per answer."""

    def __init__(self, link: MemberLink, book: RunBook, audits: RunAudits, seconds: float) -> None:
        self._link = link
        self._book = book
        self._audits = audits
        self._seconds = seconds

    def deliver(self, record: RunRecord) -> RunRecord:
        """Tell the sites that have not settled ``record``'s run; the absent ones hear it later.

        The run is settled when all of them have. A log that is not sound keeps no model from its
        sites, and is named in the program's own log.
        """
        asked = sorted((set(record.sites) - set(record.settled)) & set(self._link.sites()))
        if not asked:
            return record
        try:
            with self._audits.outcome(record.run) as account:
                return self._settle(record, asked, account)
        except ResourceError as error:
            _LOG.warning("the outcome of run %s has to wait: %s", record.run, error)
            return record
        except AuditError as error:
            _LOG.error("the audit log of run %s is not continued: %s", record.run, error)
            return self._settle(record, asked, None)

    def seal(self, record: RunRecord) -> None:
        """Let every site sign the end of the log of ``record``'s run, which all have settled."""
        if set(self._link.sites()) >= set(record.sites):
            try:
                with self._audits.outcome(record.run) as account:
                    self._seal(record, account)
            except ResourceError as error:
                _LOG.warning("the log of run %s has to wait: %s", record.run, error)
            except AuditError as error:
                _LOG.error("the audit log of run %s is not continued: %s", record.run, error)
                self._seal(record, None)

    def _seal(self, record: RunRecord, account: RunAccount | None) -> RunRecord:
        if account is None or account.ended(record):
            record = self._book.write(record.changed(sealed=True))
        return record

    def _settle(self, record: RunRecord, sites: list[str], account: RunAccount | None) -> RunRecord:
        if account is not None and record.outcome and record.outcome.status == "succeeded":
            account.trained(record, mm.Made.model_validate_json(self._book.made(record.run)))
        for site in sites:
            try:
                model = self._tell(record, site)
            except FedAudienceError as error:
                _LOG.warning("site %s has not settled run %s: %s", site, record.run, error)
                continue
            if account is not None and model is not None:
                account.registered(record.model, site, model)
            record = self._book.write(record.changed(settled=(*record.settled, site)))
        if set(record.settled) == set(record.sites):
            record = self._book.write(record.changed(stage="settled"))
            self._book.tidy(record.run)
            record = self._seal(record, account)
        return record

    def _tell(self, record: RunRecord, site: str) -> str | None:
        """Tell ``site`` how the run ended, and wait until it has settled it.

        Returns the hash of the model that the site holds now, None without one. Raises
        FederationError when the site refuses or does not answer.
        """
        if record.outcome is None:
            raise AssertionError("a run has ended with an outcome")
        if record.outcome.status == "succeeded":
            body = self._book.made(record.run)
            for offset in range(0, len(body), mm.PART_BYTES):
                data = b64encode(body[offset : offset + mm.PART_BYTES]).decode()
                part = mm.ModelPart(run=record.run, offset=offset, data=data)
                answer = self._link.ask(site, mm.ModelPart.kind, part.encode(), self._seconds)
                mm.decode(mm.PartKept, answer)
        told = record.outcome.model_copy(update={"bytes_up": record.bytes_up.get(site)})
        answer = self._link.ask(site, mm.Outcome.kind, told.encode(), self._seconds)
        settled = mm.decode(mm.Registered, answer)
        if settled.run != record.run:
            raise FederationError(
                f"site {site} settled another run",
                value=settled.run,
                limit=record.run,
                fix="look at the agent's log, and at its run.json",
            )
        return settled.model_sha256
