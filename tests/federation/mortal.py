"""Sites and coordinators that are killed where a test says so, and start anew from their disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from fed_audience.federation import (
    ArrowSource,
    InProcessTransport,
    Manifest,
    RunJournal,
    SiteProgram,
    TrainingResult,
    train,
)
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.site_checkpoint import SiteCheckpoint
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.transport import Envelope
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import FileLedger
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite
from tests.federation.example import KEY
from tests.federation.faults import Fate


class Killed(BaseException):
    """The process ends here: nothing after it runs, what is on the disk stays."""


class Sites:
    """Sites with folders of their own under ``folder``; a site that is killed keeps its folder."""

    def __init__(
        self,
        tables: Mapping[str, pa.Table],
        folder: Path,
        keeper: Callable[[Path], PrivacyKeeper] = lambda _: PrivacyKeeper(),
    ) -> None:
        self.tables = dict(tables)
        self.folder = folder
        self._keeper = keeper
        self._identities = {name: SiteIdentity.generate(name) for name in tables}
        self._roster = enrol(self._identities.values())
        self._checkpoints: dict[str, SiteCheckpoint] = {}
        self.programs: dict[str, SiteProgram] = {}
        for name in tables:
            self.start(name)

    def start(self, name: str) -> None:
        """Kill ``name`` if it runs, and start it from its disk."""
        if name in self._checkpoints:
            self._checkpoints[name].close()
        ledger = FileLedger(self.folder / name / "ledger")
        secure = SecureSite(self._identities[name], self._roster, ledger, accepts=OVERRIDES)
        self._checkpoints[name] = SiteCheckpoint(self.folder / name / "checkpoint")
        self.programs[name] = SiteProgram(
            name,
            ArrowSource(self.tables[name]),
            KEY,
            secure=secure,
            keeper=self._keeper(self.folder / name),
            checkpoint=self._checkpoints[name],
        )


class Mortal(InProcessTransport):
    """Sends to ``sites`` as they are at the moment.

    ``before(call, request)`` runs before call ``call`` (from 0) is sent, ``after`` when all have
    answered; they kill a site by starting it anew, and the coordinator by raising Killed.
    ``fate`` says which messages of a site are lost.
    """

    def __init__(
        self,
        sites: Sites,
        *,
        before: Callable[[int, m.Request], None] = lambda _call, _request: None,
        after: Callable[[int, m.Request], None] = lambda _call, _request: None,
        fate: Callable[[str, m.Request], Fate] = lambda _site, _request: "arrives",
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        super().__init__(sites.programs, on_message)
        self._programs = sites.programs
        self._fate = fate
        self._before, self._after = before, after
        self.calls: list[tuple[m.Request, tuple[str, ...]]] = []

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        request, number = m.decode_request(body), len(self.calls)
        self.calls.append((request, tuple(to)))
        self._before(number, request)
        fates = {site: self._fate(site, request) for site in to}
        reached = [site for site in to if fates[site] != "lost on the way there"]
        for site, reply in list(super().call(body, reached, timeout)):
            if fates[site] == "arrives":
                yield site, reply
        self._after(number, request)


def trained(
    transport: InProcessTransport, agreed: Manifest, folder: Path, **options: Any
) -> TrainingResult:
    """Train with a journal in ``folder``, whose files are let go however the run ends."""
    journal = RunJournal(folder)
    try:
        return train(transport, agreed, journal=journal, timeout=1.0, retries=0, **options)
    finally:
        journal.close()


def kill(*_: Any) -> None:
    raise Killed
