"""Count the customers that two brands have in common, each brand on its own side.

A query is three files: the asking brand's question, the partner's answer, and the count that the
asking brand hands back. Each step checks what came, spends a query of the month, tells the audit
log, and only then writes its file.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fed_audience.audit import entries as e
from fed_audience.audit.fields import TIME_FORMAT, band
from fed_audience.errors import ConfigError, UsageError
from fed_audience.federation.messages import wire
from fed_audience.federation.messages.overlap import (
    OverlapAnswer,
    OverlapMessage,
    OverlapQuestion,
    OverlapResult,
    OverlapTerms,
    check_signed,
    read_overlap,
)
from fed_audience.federation.recording import read_recording, recording_of
from fed_audience.federation.transport import Envelope
from fed_audience.files import check_place, write_whole
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.overlap_keys import OverlapKeys
from fed_audience.jobs.overlap_list import comparable
from fed_audience.jobs.overlap_state import OpenQueries, Side
from fed_audience.jobs.sites import site_of
from fed_audience.privacy.overlap import exchange
from fed_audience.privacy.overlap.query_book import Query, QueryBook
from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.overlap.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import SecretStr

    from fed_audience.audit.log import AuditLog
    from fed_audience.federation.messages.overlap import MessageT
    from fed_audience.jobs.overlap_settings import OverlapSettings
    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.privacy.overlap.noise import Released
    from fed_audience.privacy.overlap.points import Workers

BOOK = "queries.sqlite"
KeptT = TypeVar("KeptT")


@dataclass(frozen=True, slots=True)
class Compared:
    """A step in which a brand compared its customers. ``number``: of the month's queries.

    ``listed``: the brand's own customers on the list; ``sent``: points that the partner sees.
    """

    site: str
    partner: str
    query: str
    purpose: str
    listed: int
    sent: int
    number: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a brand was told. ``partner_list``: people at most on the partner's list, if known."""

    site: str
    partner: str
    query: str
    listed: int
    partner_list: int | None
    threshold: int
    released: Released


class OverlapSide:
    """One brand's side of its overlaps, as ``settings`` has it. Raises ConfigError without rules.

    ``as_of``: instant of consent (naive UTC); the month is that of ``now`` (naive UTC).
    """

    def __init__(
        self, settings: FederationSettings, *, as_of: datetime, now: datetime | None = None
    ) -> None:
        if settings.overlap is None:
            raise ConfigError(
                "federation.yml does not say for which purpose customers may be compared",
                looked="overlap in federation.yml",
                fix="add `overlap: {purpose: share_partner}`, and agree with the partner on it",
            )
        self.rules: OverlapSettings = settings.overlap
        self._settings = settings
        self._as_of = as_of
        self._now = now or datetime.now(UTC).replace(tzinfo=None)
        self._book = QueryBook(self.rules.folder / BOOK)
        self._open = OpenQueries(self.rules.folder)
        self._keys = OverlapKeys(settings)

    def start(
        self,
        site_name: str,
        partner: str,
        out: Path,
        salt: SecretStr,
        workers: Workers,
        audience: str | None = None,
    ) -> Compared:
        """Ask ``partner`` how many customers of ``site_name`` it has too; write the question.

        ``audience``: compare its members alone. Raises what each check raises, with nothing
        written; ``answer`` and ``finish`` alike.
        """
        check_place(out, "the question", "--out")
        site = self._site(site_name)
        if site_name == partner:
            raise UsageError(
                "a brand is not compared with itself", value=partner, fix="name another partner"
            )
        wanted = None if audience is None else self._settings.audience(audience)
        if wanted is not None and site.settings not in self._settings.sites_of(wanted.sites):
            raise UsageError(
                "the audience is not one of that brand",
                value=f"{audience} at {site_name}",
                limit=", ".join(site.name for site in self._settings.sites_of(wanted.sites)),
                looked="audiences in federation.yml",
                fix="ask as a brand that has it",
            )
        self._keys.of_party(partner)
        terms = Terms(
            self._settings.name,
            site_name,
            partner,
            self.rules.policy(),
            restricted=audience is not None,
        )
        query = Query(site_name, partner, terms.query, "asked")
        self._book.require_room(query, self._now, self.rules.queries_per_month)
        people = comparable(site, self._settings, self.rules, self._as_of, wanted)
        secret = salt.get_secret_value().encode()
        asked, question = exchange.ask(terms, people, secret, workers)
        kept = asked.to_document()
        done = self._spent(query, terms, asked.listed, len(question.points), kept, audience)
        message = OverlapQuestion(
            terms=OverlapTerms.of(terms),
            salt_check=terms.salt_check(secret),
            public=question.public.hex(),
            points=question.points,
        )
        self._write(message, site_name, out, "the question")
        return done

    def answer(self, file: Path, out: Path, salt: SecretStr, workers: Workers) -> Compared:
        """Answer the question in ``file`` with the customers of the brand it asks."""
        check_place(out, "the answer", "--out")
        question = _message(file, OverlapQuestion)
        terms = question.terms.terms()
        site = self._addressed(terms)
        check_signed(question, self._keys.of_party(terms.asking))
        self.rules.policy().require_equal(terms.policy)
        secret = salt.get_secret_value().encode()
        if not hmac.compare_digest(terms.salt_check(secret), question.salt_check):
            raise OverlapError("other_salt", looked=f"environment variable {self.rules.salt}")
        query = Query(site.name, terms.asking, terms.query, "answered")
        self._book.require_room(query, self._now, self.rules.queries_per_month)
        people = comparable(site, self._settings, self.rules, self._as_of)
        asked = exchange.Question(bytes.fromhex(question.public), question.points)
        answered, reply = exchange.answer(terms, asked, people, secret, workers)
        done = self._spent(query, terms, answered.listed, len(reply.points), answered.to_document())
        message = OverlapAnswer(
            query=terms.query, terms_sha256=terms.sha256, raised=reply.raised, points=reply.points
        )
        self._write(message, site.name, out, "the answer")
        return done

    def finish(self, file: Path, out: Path, workers: Workers) -> Counted:
        """Count by the answer in ``file``, and write the count for the partner."""
        check_place(out, "the count for the partner", "--out")
        answer = _message(file, OverlapAnswer)
        site, terms, asked = self._kept(
            "asked", answer.query, answer.terms_sha256, exchange.Asked.from_document
        )
        check_signed(answer, self._keys.of_party(terms.answering))
        reply = exchange.Answer(answer.raised, answer.points)
        found = exchange.result(terms, asked, reply, workers)
        self._tell_released(site, terms.answering, terms, found.released)
        message = OverlapResult(
            query=terms.query, terms_sha256=terms.sha256, count=found.for_partner
        )
        self._write(message, site, out, "the count for the partner")
        self._open.forget(site, "asked", terms.query)
        return Counted(
            site,
            terms.answering,
            terms.query,
            asked.listed,
            found.partner_list,
            terms.policy.threshold,
            found.released,
        )

    def read(self, file: Path) -> Counted:
        """Read the count that the asking brand handed back."""
        told = _message(file, OverlapResult)
        site, terms, answered = self._kept(
            "answered", told.query, told.terms_sha256, exchange.Answered.from_document
        )
        check_signed(told, self._keys.of_party(terms.asking))
        released = exchange.learned(terms, answered, told.count)
        self._tell_released(site, terms.asking, terms, released)
        self._open.forget(site, "answered", terms.query)
        threshold = terms.policy.threshold
        return Counted(site, terms.asking, terms.query, answered.listed, None, threshold, released)

    def own_key(self, site_name: str) -> str:
        """Return the line of a brand's public key, for partners to pin."""
        return str(self._keys.of_party(self._site(site_name).name))

    def _site(self, name: str) -> Site:
        for settings in self._settings.sites:
            if settings.name == name:
                return site_of(settings)
        raise UsageError(
            "this federation.yml has no such brand of its own",
            value=name,
            limit=", ".join(site.name for site in self._settings.sites),
            fix="name the brand whose customers are here first, then the partner",
        )

    def _addressed(self, terms: Terms) -> Site:
        ours = {site.name: site for site in self._settings.sites}
        if terms.federation != self._settings.name or terms.answering not in ours:
            raise OverlapError(
                "not_for_us",
                detail=f"{terms.answering} of {terms.federation}",
                limit=f"{', '.join(ours)} of {self._settings.name}",
            )
        if terms.asking == terms.answering:
            raise OverlapError("bad_terms", detail=f"{terms.asking} asks itself")
        return site_of(ours[terms.answering])

    def _spent(
        self,
        query: Query,
        terms: Terms,
        listed: int,
        sent: int,
        kept: dict[str, Any],
        audience: str | None = None,
    ) -> Compared:
        """Spend the query, keep what its next step needs, and tell the log: before it is sent."""
        allowed = self.rules.queries_per_month
        number = self._book.spend(query, self._now, allowed)
        document = {"terms": terms.to_document(), "kept": kept}
        self._open.keep(query.site, query.step, query.query, document)
        with AuditTrail(self._settings) as trail:
            log = trail.of_run(_log(query.site, query.partner), [query.site])
            self._declare(log)
            log.append(
                e.OverlapCompared,
                query=terms.sha256,
                site=query.site,
                partner=query.partner,
                side=query.step,
                purpose=terms.policy.purpose,
                matched_by=terms.policy.identifier,
                audience=audience,
                as_of=self._as_of.strftime(TIME_FORMAT),
                listed=band(listed),
                number=number,
            )
        return Compared(
            query.site,
            query.partner,
            query.query,
            terms.policy.purpose,
            listed,
            sent,
            number,
            allowed,
        )

    def _declare(self, log: AuditLog) -> None:
        """Tell the log what federation.yml declares of such processing, unless it knows."""
        record = self._settings.audit.record
        told = [one.record for one in log.entries if isinstance(one, e.ProcessingDeclared)]
        if record is not None and (not told or told[-1] != record):
            log.append(e.ProcessingDeclared, record=record)

    def _kept(
        self, side: Side, query: str, terms_sha256: str, read: Callable[[dict[str, Any]], KeptT]
    ) -> tuple[str, Terms, KeptT]:
        """Return what was kept of ``query``: by which brand, its terms, and what it needs."""
        for site in self._settings.sites:
            if self._open.has(site.name, side, query):
                document = self._open.read(site.name, side, query)
                break
        else:
            raise OverlapError(
                "not_open", detail=f"query {query[:8]}", looked=str(self._open.folder)
            )
        try:
            terms, kept = Terms.from_document(document["terms"]), read(document["kept"])
        except (KeyError, TypeError, ValueError) as error:
            detail = type(error).__name__
            raise OverlapError("kept_state", detail=detail, looked=str(self._open.folder)) from None
        if terms.sha256 != terms_sha256:
            raise OverlapError("other_query", detail=f"query {query[:8]}")
        return site.name, terms, kept

    def _tell_released(self, site: str, partner: str, terms: Terms, released: Released) -> None:
        with AuditTrail(self._settings) as trail:
            trail.of_run(_log(site, partner), [site]).append(
                e.OverlapReleased,
                query=terms.sha256,
                site=site,
                partner=partner,
                overlap=None if released.count is None else band(released.count),
            )

    def _write(self, message: OverlapMessage, site: str, out: Path, what: str) -> None:
        body = wire.encode(self._keys.signed(message, site))
        write_whole(out, recording_of(Envelope(site, "from_site", body)), what)


def _message(file: Path, kind: type[MessageT]) -> MessageT:
    envelopes = list(read_recording(file))
    if len(envelopes) != 1:
        raise OverlapError("not_for_us", detail=f"{len(envelopes)} messages", looked=str(file))
    return read_overlap(envelopes[0].body, kind)


def _log(site: str, partner: str) -> str:
    """Name the audit log of a pair, as the brand ``site`` keeps it."""
    return f"overlap-{site}-{partner}"
