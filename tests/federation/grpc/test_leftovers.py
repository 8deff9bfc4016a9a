"""What killed processes leave in the machine's temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fed_audience.federation.transports.grpc import transport


def test_the_folder_of_a_process_that_was_killed_is_removed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"fed-audience-{gone.pid}-abc"
    left.mkdir()
    (left / "socket").touch()
    others = [tmp_path / f"fed-audience-{os.getppid()}-abc", tmp_path / "fed-audience-of-mine"]
    for other in others:
        other.mkdir()
    made = transport._socket_folder()
    assert sorted(tmp_path.iterdir()) == sorted([made, *others])
    assert made.name.startswith(f"fed-audience-{os.getpid()}-")
