"""Workers of a Ray cluster that the brand runs: one actor a share.

Ray carries calls and their answers between the site's process and its workers, nothing else: no
code is shipped (workers import the package that is installed beside them), and Ray's usage
statistics are off. Who may reach the cluster may read its rows: docs/large-brands.md.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from fed_audience import __version__
from fed_audience.errors import ConfigError, FederationError, ResourceError
from fed_audience.federation.workers.engine import WorkerLost, answer_of, opened
from fed_audience.federation.workers.share import RowShare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fed_audience.federation.site.source import RowSource

_LOG: Final = logging.getLogger(__name__)

_SILENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # `uv run` would have Ray upload the working folder to its workers.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_PLACING_SECONDS: Final = 120.0
_LOCAL: Final = "local"


class RayEngine:
    """Starts an actor a share. ``sources``: one a share, sent to its actor, which reads it there.

    ``address``: of the brand's cluster as ``ray.init`` takes it, "auto" for the one that this
    machine belongs to, "local" to start one for this process alone, which answers nobody without
    its token. ``cpus``: of each worker, which are its threads too. ``folder``: where a local
    cluster keeps its files, by default where Ray does; its path is short, as it holds sockets.
    ``store_bytes``: a local cluster's shared memory. ``placing_seconds``: how long a worker waits
    for room in the cluster. Raises ConfigError where Ray is not installed.
    """

    def __init__(
        self,
        sources: Sequence[RowSource],
        *,
        address: str = "auto",
        cpus: int = 1,
        folder: Path | None = None,
        store_bytes: int = 256 * 2**20,
        placing_seconds: float = _PLACING_SECONDS,
    ) -> None:
        self.count = len(sources)
        self._sources = sources
        self._address = address
        self._cpus = cpus
        self._folder = folder
        self._store_bytes = store_bytes
        self._placing_seconds = placing_seconds
        self._ray = _ray(local=address == _LOCAL)
        self._connected = False

    def connect(self) -> None:
        """Reach the cluster. Raises ResourceError where there is none."""
        if self._ray.is_initialized():
            return
        options: dict[str, Any] = {"address": self._address}
        if self._address == _LOCAL:
            options |= {
                "num_cpus": max(1, self.count) * self._cpus,
                "num_gpus": 0,
                "include_dashboard": False,
                "object_store_memory": self._store_bytes,
                # Workers do what the site's process waits for: they step back for nobody.
                "_system_config": {"worker_niceness": 0},
            }
            if self._folder is not None:
                options["_temp_dir"] = str(self._folder)
        try:
            with _signals_left_as_they_are():
                self._ray.init(log_to_driver=False, configure_logging=False, **options)
            self._connected = True
        except Exception as error:  # a local cluster that starts too slowly raises no other class
            raise ResourceError(
                f"no Ray cluster can be reached: {str(error).partition(chr(10))[0]}",
                looked=self._address,
                fix="start one with `ray start --head --disable-usage-stats`, or correct the "
                "address",
            ) from error

    def start(self, share: int, category_key: bytes) -> RayWorker:
        """Start an actor; where it is placed, Ray decides. Raises WorkerLost without a cluster."""
        try:
            self.connect()
            holder = self._ray.remote(num_cpus=self._cpus, max_restarts=0, max_task_retries=0)(
                ShareHolder
            )
            actor = holder.remote(__version__, self._sources[share], category_key, self._cpus)
        except (ResourceError, self._ray.exceptions.RayError) as error:
            self._ray.shutdown()  # so that the next start reaches it anew
            raise WorkerLost(str(error)) from error
        return RayWorker(self._ray, actor, self._placing_seconds)

    def close(self) -> None:
        """Leave the cluster that ``connect`` reached; a local one ends."""
        if self._connected:
            self._ray.shutdown()
            self._connected = False


class RayWorker:
    """An actor that holds a share."""

    def __init__(self, ray: Any, actor: Any, placing_seconds: float) -> None:
        self._ray = ray
        self._actor = actor
        self._placing_seconds = placing_seconds
        self._placed = actor.process.remote()

    @property
    def process(self) -> int:
        """Process id of the actor, on its own machine. Raises WorkerLost."""
        return int(self._got(self._placed, self._placing_seconds))

    def begin(self, method: str, arguments: Sequence[Any]) -> Callable[[], Any]:
        """Send a call; the result is waited for as long as the actor lives."""
        lost = self._ray.exceptions.RayError
        try:
            sent = self._actor.answer.remote(method, tuple(arguments))
        except lost as error:
            raise WorkerLost(_words(error)) from error

        def result() -> Any:
            self._got(self._placed, self._placing_seconds)
            return opened(self._got(sent, None))

        return result

    def stop(self) -> None:
        """Kill the actor; that it is gone already does not matter."""
        try:
            self._ray.kill(self._actor)
        except (self._ray.exceptions.RayError, RuntimeError, ValueError) as error:
            _LOG.debug("a worker that is to end: %s", _words(error))

    def _got(self, sent: Any, seconds: float | None) -> Any:
        raised = self._ray.exceptions
        try:
            return self._ray.get(sent, timeout=seconds)
        except raised.RayTaskError:
            raise
        except raised.GetTimeoutError as error:
            raise WorkerLost(f"the cluster had no room for it in {seconds:g} s") from error
        except raised.RayError as error:
            raise WorkerLost(_words(error)) from error


class ShareHolder:
    """What runs in the actor: a share, and the version that it is computed by."""

    def __init__(self, version: str, source: RowSource, category_key: bytes, threads: int) -> None:
        self._version = version
        self._share = RowShare(source, category_key, threads)

    def process(self) -> int:
        """Return the id of the actor's process."""
        return os.getpid()

    def answer(self, method: str, arguments: Sequence[Any]) -> Any:
        """Call ``method`` of the share; other versions could come to other sums."""
        if self._version != __version__:
            return FederationError(
                "a worker has another version of fed-audience than the site's process",
                value=__version__,
                limit=self._version,
                fix="install the same version on every machine of the cluster",
            )
        return answer_of(self._share, method, arguments)


def _ray(*, local: bool) -> Any:
    """Import Ray, which reads its settings as it is imported."""
    os.environ.update(_SILENT)
    if local:
        # Its ports are open on every interface: only this process and its workers know the token.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
    try:
        import ray  # noqa: PLC0415 - optional
        import ray.exceptions  # noqa: PLC0415 - the same
    except ImportError as error:
        raise ConfigError(
            "Ray is not installed",
            value=error.name,
            looked="the modules of this Python",
            fix="pip install 'fed-audience[ray]' here and on every machine of the cluster",
        ) from error
    return ray


@contextmanager
def _signals_left_as_they_are() -> Iterator[None]:
    """Ray takes SIGTERM of the main thread for itself, and a program would end in disorder."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
