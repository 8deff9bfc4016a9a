from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fed_audience import __version__, cli
from fed_audience.cli import app as commands
from fed_audience.errors import DataError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("fed-audience"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def leave(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_version_is_shown() -> None:
    assert run("--version").stdout == f"fed-audience {__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = run("nope")
    assert result.returncode == 2
    assert "nope" in result.stderr


def test_an_error_is_one_line_and_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(monkeypatch, DataError("no such column", value="labl")) == DataError.exit_code
    assert capsys.readouterr().err == "fed-audience: no such column; value: labl\n"


def test_a_full_disk_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(monkeypatch, OSError(28, "No space left on device", "report.html")) == 11
    assert "the disk is full" in capsys.readouterr().err


def test_ctrl_c_inside_a_command_ends_in_our_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @commands.app.command("interrupt-me", hidden=True)
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left:
        cli.main(["interrupt-me"])
    commands.app.registered_commands.pop()
    assert left.value.code == 130
    assert "stopped by the user" in capsys.readouterr().err
