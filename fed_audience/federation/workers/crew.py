"""The workers of one site. One that is lost is started again, and brought to where it was."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from fed_audience.errors import FedAudienceError
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.workers.engine import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation.workers.engine import Engine, Worker

    Restore = Callable[["Calls"], None]

_LOG: Final = logging.getLogger(__name__)

MOST_LOSSES: Final = 3
"""How often a share is begun again for one answer before the site gives up."""


class Calls:
    """Calls of one worker, each waited for."""

    def __init__(self, worker: Worker, share: int) -> None:
        self.share = share
        self._worker = worker

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call ``method`` of the share. Raises WorkerLost, and what the share raises."""
        return self._worker.begin(method, arguments)()


class Crew:
    """One worker a share; each is asked the same, all of them at once."""

    def __init__(self, engine: Engine, category_key: bytes) -> None:
        self.size = engine.count
        self._engine = engine
        self._category_key = category_key
        self._workers: dict[int, Worker] = {}

    def begin(self, arguments: Sequence[Any]) -> list[Any]:
        """Open every share for a run, all at once, by workers that are started where none is."""
        for share in range(self.size):
            if share not in self._workers:
                try:
                    self._workers[share] = self._engine.start(share, self._category_key)
                except WorkerLost as lost:
                    _LOG.warning("the worker of share %d cannot begin: %s", share, lost)
        return self.ask("open", [arguments] * self.size, lambda _: None)()

    def ask(
        self, method: str, arguments: Sequence[Sequence[Any]], restore: Restore
    ) -> Callable[[], list[Any]]:
        """Call ``method`` of every share with its own arguments; what is returned waits for all.

        ``restore`` brings a worker that was started anew to where the others are, before the call.
        Raises the first share's error once all have answered, and Refusal (workers) when one is
        lost again and again.
        """
        begun = [self._begun(share, method, own) for share, own in enumerate(arguments)]

        def answers() -> list[Any]:
            found: list[Any] = []
            errors: list[FedAudienceError] = []
            for share, own in enumerate(arguments):
                try:
                    found.append(self._answer(begun[share], share, method, own, restore))
                except FedAudienceError as error:
                    errors.append(error)
            if errors:
                raise errors[0]
            return found

        return answers

    def close(self) -> None:
        """End all workers."""
        for share in list(self._workers):
            self._dismiss(share)

    def _begun(self, share: int, method: str, own: Sequence[Any]) -> Callable[[], Any] | WorkerLost:
        """Begin a call of a worker that is there."""
        if share not in self._workers:
            return WorkerLost("it was not there")
        try:
            return self._workers[share].begin(method, own)
        except WorkerLost as lost:
            return lost

    def _answer(
        self,
        begun: Callable[[], Any] | WorkerLost,
        share: int,
        method: str,
        own: Sequence[Any],
        restore: Restore,
    ) -> Any:
        if not isinstance(begun, WorkerLost):
            try:
                return begun()
            except WorkerLost as lost:
                _LOG.warning("the worker of share %d is lost: %s", share, lost)
        for _ in range(MOST_LOSSES):
            self._dismiss(share)
            try:
                worker = self._engine.start(share, self._category_key)
                self._workers[share] = worker
                restore(Calls(worker, share))
                return worker.begin(method, own)()
            except WorkerLost as lost:
                _LOG.warning("the worker of share %d cannot go on: %s", share, lost)
        self._dismiss(share)
        raise Refusal("workers", detail=f"share {share} of {self.size}, begun {MOST_LOSSES} times")

    def _dismiss(self, share: int) -> None:
        worker = self._workers.pop(share, None)
        if worker is not None:
            worker.stop()
