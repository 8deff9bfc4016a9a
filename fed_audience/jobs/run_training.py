"""Training one run over the link: its journal, and what stops it from outside."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from fed_audience.federation.lasting.control import RunControl
from fed_audience.federation.lasting.run_journal import RunJournal
from fed_audience.federation.rounds.coordinator import SiteMissing
from fed_audience.federation.train import train
from fed_audience.federation.transport import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fed_audience.federation import Manifest, TrainingEvent, TrainingResult
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.run_book import RunBook

WISH_SECONDS: Final = 0.5
"""How often is looked for what the operator wants of the run."""


class Overheard:
    """A link whose rounds ``on_message`` sees, message by message, as they cross it."""

    def __init__(self, link: MemberLink, on_message: Callable[[Envelope], None]) -> None:
        self._link = link
        self._on_message = on_message

    def sites(self) -> list[str]:
        """Names of the sites that are connected, sorted."""
        return self._link.sites()

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Send a round; yield (site, reply) as replies come."""
        for site in to:
            self._on_message(Envelope(site, "to_site", body))
        return self._heard(self._link.call(body, to, timeout))

    def _heard(self, replies: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for site, reply in replies:
            self._on_message(Envelope(site, "from_site", reply))
            yield site, reply


class RunTraining:
    """Trains one run at a time. ``stopped``: whether the whole program is to end."""

    def __init__(self, link: MemberLink, own: CoordinatorSettings, book: RunBook) -> None:
        self.stopped = False
        self._link = link
        self._own = own
        self._book = book
        self._control: RunControl | None = None

    def stop(self) -> None:
        """Let this run and any later one rest at the end of their level; from any thread."""
        self.stopped = True
        if self._control is not None:
            self._control.pause()

    def require_connected(self, manifest: Manifest) -> None:
        """Raise SiteMissing unless every site of ``manifest`` is connected."""
        absent = sorted(set(manifest.sites) - set(self._link.sites()))
        if absent:
            raise SiteMissing(
                absent, ", ".join(absent), "every site begins", "it was not connected"
            )

    def train(
        self,
        manifest: Manifest,
        on_event: Callable[[TrainingEvent], None],
        on_message: Callable[[Envelope], None],
    ) -> TrainingResult:
        """Train ``manifest``'s run, or go on where its journal stands.

        ``on_message`` sees every message of the rounds, both ways. Raises SiteMissing, also where
        a site has left before the first round; RunPaused and RunCancelled, as the operator or
        ``stop`` wants; and what ``train`` raises.
        """
        self.require_connected(manifest)
        journal = RunJournal(self._book.folder_of(manifest.run_id) / "journal")
        over, control = threading.Event(), RunControl()
        self._control = control
        if self.stopped:
            control.pause()
        threading.Thread(
            target=self._watch, args=(manifest.run_id, control, over), name="wishes", daemon=True
        ).start()
        try:
            return train(
                Overheard(self._link, on_message),
                manifest,
                on_event=on_event,
                timeout=self._own.deadline_seconds,
                retries=self._own.retries,
                journal=journal,
                control=control,
            )
        finally:
            over.set()
            self._control = None
            journal.close()

    def _watch(self, run: str, control: RunControl, over: threading.Event) -> None:
        """Look for what the operator wants of ``run`` until it is over."""
        while not over.wait(WISH_SECONDS):
            wish = self._book.wished(run)
            if wish == "pause":
                control.pause()
            elif wish == "cancel":
                control.cancel()
