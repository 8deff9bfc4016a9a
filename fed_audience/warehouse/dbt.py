"""Run dbt as its own process, and find the dbt package that ships with us.

dbt 1 can be imported and dbt 2 cannot; the executable, the manifest and the run results are
common to both.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fed_audience.errors import DbtError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LOCKED: Final = "Could not set lock on file"
"""What DuckDB says to dbt while another process has the warehouse open."""
_GRACE_S: Final = 10.0
_running: Final[set[subprocess.Popen[str]]] = set()
_KEPT_LINES: Final = 30
_BAD: Final = frozenset({"error", "fail", "runtime error", "partial success"})
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_STAMP: Final = re.compile(r"^\d\d:\d\d:\d\d\s+")


@dataclass(frozen=True, slots=True)
class NodeResult:
    """How one model, test or seed ended; ``seconds`` is its own time."""

    unique_id: str
    status: str
    message: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class DbtResult:
    """What a successful dbt command did; ``nodes`` is empty for commands that run none."""

    command: tuple[str, ...]
    nodes: tuple[NodeResult, ...]
    log: Path


def run_dbt(
    project_dir: Path,
    args: Sequence[str],
    *,
    profiles_dir: Path | None = None,
    target: str | None = None,
    vars: Mapping[str, object] | None = None,  # noqa: A002 - dbt's own word
    log_path: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> DbtResult:
    """Run ``dbt ARGS`` in ``project_dir`` with this interpreter's dbt, and wait for it.

    ``log_path`` is the folder of dbt.log, by default `logs` in the project. ``on_line`` gets
    each line that dbt prints, without colours or clock. Raises DbtError naming the failing
    nodes, what they said and the log; RunInterrupted on Ctrl-C, after dbt has ended.
    """
    project_dir = project_dir.resolve()
    logs = (log_path or project_dir / "logs").resolve()
    results = project_dir / "target" / "run_results.json"
    results.unlink(missing_ok=True)
    command = [dbt_executable(), "--no-use-colors", *args]
    command += ["--vars", json.dumps(vars, default=str)] if vars else []
    # As variables these hold for every subcommand; as flags some would refuse them.
    environment = {
        **os.environ,
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        "DBT_PROJECT_DIR": str(project_dir),
        "DBT_TARGET_PATH": str(results.parent),
        "DBT_LOG_PATH": str(logs),
    }
    if profiles_dir is not None:
        environment["DBT_PROFILES_DIR"] = str(profiles_dir.resolve())
    if target is not None:
        environment["DBT_TARGET"] = target
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        del lines[:-_KEPT_LINES]
        if on_line is not None:
            on_line(line)

    status = _run(command, project_dir, environment, keep)
    nodes = _nodes(results)
    if status != 0:
        raise _failure(args, nodes, lines, logs / "dbt.log")
    return DbtResult(tuple(args), nodes, logs / "dbt.log")


def end_running_dbt() -> None:
    """End every dbt that this process runs, also in other threads, whose ``run_dbt`` then raises.

    Python tells only the main thread of Ctrl-C; it calls this for the others.
    """
    for process in tuple(_running):
        _end(process)


def dbt_executable() -> str:
    """Return the dbt that is installed beside this interpreter; raises DbtError without one."""
    path = Path(sysconfig.get_path("scripts")) / ("dbt.exe" if os.name == "nt" else "dbt")
    if not path.is_file():
        raise DbtError(
            "dbt is not installed in this environment",
            looked=str(path),
            fix=f"{Path(sys.executable).name} -m pip install dbt-core dbt-duckdb",
        )
    return str(path)


def package_path() -> Path:
    """Return the folder of the dbt package `fed_audience`: installed with us, or the checkout's.

    Raises DbtError when neither is there.
    """
    room = Path(__file__).resolve().parents[1]
    places = [room / "_dbt_project", room.parent / "dbt_project"]
    for place in places:
        if (place / "dbt_project.yml").is_file():
            return place
    raise DbtError(
        "the dbt package of fed-audience is missing",
        looked=", ".join(map(str, places)),
        fix="install fed-audience again",
    )


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], keep: Callable[[str], None]
) -> int:
    with _process(command, folder, environment) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            keep(_STAMP.sub("", _COLOUR.sub("", line)).rstrip())
        return process.wait()


@contextmanager
def _process(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Start dbt in a process group of its own, and leave nothing of it behind."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    _running.add(process)
    try:
        yield process
    except KeyboardInterrupt:
        _end(process)
        raise RunInterrupted("stopped while dbt was running; dbt was ended with it") from None
    finally:
        _end(process)
        _running.discard(process)
        if process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Ask, as Ctrl-C would, so that dbt cancels its queries; then insist."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            break
        # It may end, and another thread may notice, between the question and the signal.
        with suppress(subprocess.TimeoutExpired, ProcessLookupError):
            os.killpg(process.pid, sign)
            process.wait(_GRACE_S)


def _nodes(results: Path) -> tuple[NodeResult, ...]:
    try:
        document: Any = json.loads(results.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return tuple(
        NodeResult(
            entry["unique_id"], entry["status"], entry.get("message"), entry["execution_time"]
        )
        for entry in document["results"]
    )


def _failure(
    args: Sequence[str], nodes: Sequence[NodeResult], lines: Sequence[str], log: Path
) -> DbtError:
    bad = [node for node in nodes if node.status in _BAD]
    if bad:
        first = bad[0]
        what = f"{first.unique_id}: {_one_line(first.message or first.status)}"
        if len(bad) > 1:
            what += f"; and {len(bad) - 1} more: {', '.join(node.unique_id for node in bad[1:4])}"
    else:
        said = [line.strip() for line in lines if line.strip()]
        what = _one_line(" ".join(said[-6:])) if said else "dbt said nothing"
    if LOCKED in what:
        return DbtError(
            f"dbt {args[0] if args else ''} met another program in the warehouse file: {what}",
            looked=str(log),
            fix="run this again, or let dbt wait for it: `retries: {connect_attempts: 6}` beside "
            "`path` in profiles.yml",
        )
    return DbtError(
        f"dbt {args[0] if args else ''} failed: {what}",
        looked=str(log),
        fix="mend that node, or read the log for its compiled SQL, and run this again",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:600]
