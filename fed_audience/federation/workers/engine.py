"""What an engine offers: workers, each of which holds one share of a site's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fed_audience.errors import FedAudienceError
from fed_audience.federation.workers.share import RowShare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation.site.source import RowSource


class WorkerLost(Exception):  # noqa: N818 - an event that the crew deals with, no error of a user's
    """A worker has ended, and its share with it; the argument says how, in words for the log."""


class Worker(Protocol):
    """Holds a ``RowShare`` and calls its methods, one after the other."""

    def begin(self, method: str, arguments: Sequence[Any]) -> Callable[[], Any]:
        """Call ``method`` of the share; what is returned waits for its result.

        Both raise WorkerLost, the second FedAudienceError where the share does.
        """
        ...

    def stop(self) -> None:
        """End the worker, lost or not."""
        ...


class Engine(Protocol):
    """Starts workers. ``count``: shares of the site's rows, from 0; the same through a run."""

    count: int

    def start(self, share: int, category_key: bytes) -> Worker:
        """Start a worker that reads ``share``. Raises WorkerLost where it cannot begin."""
        ...


class InProcessEngine:
    """Workers of this process: what the others are compared with. ``sources``: one a share."""

    def __init__(self, sources: Sequence[RowSource], *, threads: int = 1) -> None:
        self.count = len(sources)
        self._sources = sources
        self._threads = threads

    def start(self, share: int, category_key: bytes) -> InProcessWorker:
        """Start a worker; its share is read when it is opened."""
        return InProcessWorker(RowShare(self._sources[share], category_key, self._threads))


class InProcessWorker:
    """A share in this process: every call is done when ``begin`` returns."""

    def __init__(self, share: RowShare) -> None:
        self._share = share

    def begin(self, method: str, arguments: Sequence[Any]) -> Callable[[], Any]:
        """Call ``method`` of the share now; an error is raised when the result is asked for."""
        answer = answer_of(self._share, method, arguments)
        return lambda: opened(answer)

    def stop(self) -> None:
        """Do nothing: the share goes with the worker."""


def answer_of(share: RowShare, method: str, arguments: Sequence[Any]) -> Any:
    """Call ``method`` of ``share``; an error of ours is an answer too, and travels as one."""
    try:
        return getattr(share, method)(*arguments)
    except FedAudienceError as error:
        return error


def opened(answer: Any) -> Any:
    """Return ``answer``, or raise the error that it is."""
    if isinstance(answer, FedAudienceError):
        raise answer
    return answer
