"""What the two long-running programs share: one a folder, an orderly end, logs, a metrics page."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from fed_audience.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def utc_now() -> datetime:
    """Return the instant, naive and UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def clock_from(as_of: datetime | None) -> Callable[[], datetime]:
    """Return a clock that begins at ``as_of`` (naive UTC), for data of another day; or the real."""
    if as_of is None:
        return utc_now
    began = time.monotonic()
    return lambda: as_of + timedelta(seconds=time.monotonic() - began)


@contextmanager
def only_one(folder: Path, program: str) -> Iterator[None]:
    """Hold ``folder`` for this process; raises ResourceError while another one of its kind does.

    The file that is locked tells the holder's process; the lock ends with it, however it ends.
    """
    path = folder / f"{program}.pid"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ResourceError(
            f"the {program}'s folder cannot be written",
            value=error.strerror,
            looked=str(error.filename or folder),
            fix="correct `folder` in federation.yml, or the folder's permissions",
        ) from error
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = file.read().strip() or "unknown"
            raise ResourceError(
                f"another {program} runs on this folder",
                value=f"process {holder}",
                looked=str(folder),
                fix="stop it first; two would answer for the same site",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def is_running(folder: Path, program: str) -> bool:
    """Whether a process of that kind holds ``folder`` now."""
    path = folder / f"{program}.pid"
    try:
        with path.open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class Stopping:
    """Set by SIGTERM and SIGINT; a second signal ends the process at once.

    ``interrupted``: whether it was Ctrl-C. ``on_stop`` is called at the first signal. Use as a
    context in the main thread.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.on_stop: Callable[[], None] = lambda: None
        self.interrupted = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned

    def wait(self, seconds: float) -> bool:
        """Wait; True as soon as the program is to stop."""
        return self.event.wait(seconds)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.event.is_set():
            os._exit(128 + number)
        self.interrupted = number == signal.SIGINT
        self.event.set()
        self.on_stop()


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the event adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of ``record``."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "at": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value
            for name, value in record.__dict__.items()
            if name not in _PLAIN and isinstance(value, str | int | float | bool | None)
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


@contextmanager
def logging_to_stderr(*, as_json: bool) -> Iterator[None]:
    """Send the program's log to standard error, as lines of text or of JSON, within the block."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if as_json else plain)
    ours = logging.getLogger("fed_audience")
    handlers, level, propagate = ours.handlers[:], ours.level, ours.propagate
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    try:
        yield
    finally:
        ours.handlers[:] = handlers
        ours.setLevel(level)
        ours.propagate = propagate


@contextmanager
def metrics_page(address: str | None) -> Iterator[None]:
    """Serve Prometheus' default registry at ``address``, or nothing without one.

    Raises ResourceError without the package, or when the port is taken.
    """
    if address is None:
        yield
        return
    try:
        from prometheus_client import start_http_server  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ResourceError(
            "the metrics page needs the package prometheus_client",
            looked="the installed packages",
            fix="pip install 'fed-audience[grpc]', or set `metrics: null` in federation.yml",
        ) from error
    host, _, port = address.rpartition(":")
    if not 0 <= int(port) <= 65_535:  # noqa: PLR2004 - ports
        raise ConfigError(
            "the address of the metrics page has no such port", value=address, fix="correct it"
        )
    try:
        server, thread = start_http_server(int(port), host.strip("[]"))
    except OSError as error:
        raise ResourceError(
            "the metrics page cannot be served",
            value=error.strerror,
            looked=address,
            fix="choose a free address under `metrics` in federation.yml, or null for none",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
