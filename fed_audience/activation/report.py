"""What a run tells: its progress while it runs, and its counts at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.activation.destination import Operation


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a run did, in people unless said otherwise.

    ``withdrawn`` left because consent is gone. ``dropped`` were planned and lost their consent
    before their batch, by the rule that denied. ``unresolved`` got no final answer and are sent
    again by the next run. ``blocked`` says why ``held_back`` removals wait for a confirmation.
    """

    run_id: str
    sync_id: str
    status: str
    added: int
    updated: int
    removed: int
    withdrawn: int
    unchanged: int
    no_identifier: int
    refused_before: int
    rejected: int
    unresolved: int
    open_withdrawals: int
    held_back: int
    suppressed: Mapping[str, int]
    dropped: Mapping[str, int]
    requests: int
    retries: int
    bytes_sent: int
    blocked: str | None

    @property
    def sent(self) -> int:
        """Records that the destination acknowledged."""
        return self.added + self.updated + self.removed + self.withdrawn


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """Progress: ``done`` of ``total`` planned records have their outcome."""

    done: int
    total: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Waiting:
    """Progress: the destination is given ``seconds`` of rest, because of ``code``."""

    seconds: float
    code: str


SyncEvent: TypeAlias = BatchSettled | Waiting
