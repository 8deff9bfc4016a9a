"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_systemd_takes_the_units_as_they_are(repository: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    installed = str(Path(sys.executable).with_name("fed-audience"))
    units = []
    for unit in sorted((repository / "examples" / "deploy").glob("*.service")):
        text = unit.read_text()
        assert "ExecStart=/opt/fed-audience/bin/fed-audience " in text
        copy = tmp_path / unit.name.replace("@", "@fashion")
        copy.write_text(text.replace("/opt/fed-audience/bin/fed-audience", installed))
        units.append(copy)
    assert len(units) == 2
    done = subprocess.run(
        [analyze, "--man=no", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
