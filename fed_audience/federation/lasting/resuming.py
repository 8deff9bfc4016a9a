"""Going on with a run that was interrupted, cancelling it, and letting the sites forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import ConfigError
from fed_audience.federation.rounds.coordinator import Coordinator
from fed_audience.federation.train import train

if TYPE_CHECKING:
    from fed_audience.federation.lasting.control import RunControl
    from fed_audience.federation.lasting.run_journal import RunJournal
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.result import TrainingResult
    from fed_audience.federation.train import OnEvent
    from fed_audience.federation.transport import RoundTransport


def resume(
    transport: RoundTransport,
    journal: RunJournal,
    *,
    on_event: OnEvent | None = None,
    timeout: float = 600.0,
    retries: int = 2,
    control: RunControl | None = None,
) -> TrainingResult:
    """Go on with the run in ``journal``'s folder, as ``train`` does.

    The result of a run that is over is had again without asking anybody. Raises ConfigError when
    no run was begun there.
    """
    if journal.manifest is None:
        raise ConfigError(
            "there is no run to resume",
            looked=str(journal.folder),
            fix="name the folder that the run was begun with",
        )
    return train(
        transport,
        journal.manifest,
        on_event=on_event,
        timeout=timeout,
        retries=retries,
        journal=journal,
        control=control,
    )


def cancel(
    transport: RoundTransport, journal: RunJournal, *, timeout: float = 60.0
) -> tuple[str, ...]:
    """Cancel an interrupted run: it is not resumed, and the sites forget it and its keys.

    Returns the sites that did not answer: they forget it when the next run begins.
    """
    manifest = journal.manifest
    if manifest is None:
        return ()
    journal.cancel()
    coordinator = Coordinator(transport, manifest.run_id, timeout=timeout, retries=0)
    reached = sorted(set(manifest.sites) & set(transport.sites()))
    return coordinator.forget(reached) + tuple(sorted(set(manifest.sites) - set(reached)))


def forget(transport: RoundTransport, manifest: Manifest, *, timeout: float = 60.0) -> None:
    """Let the sites forget a run that is over and measured: its rows, its keys, its checkpoint."""
    coordinator = Coordinator(transport, manifest.run_id, timeout=timeout, retries=0)
    coordinator.forget(sorted(set(manifest.sites) & set(transport.sites())))
