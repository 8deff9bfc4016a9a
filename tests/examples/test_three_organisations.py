"""Four processes over mutual TLS, two of them killed: the same model as in one process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.xdist_group("demo")
def test_killed_programs_come_back_to_the_same_model(
    repository: Path, tmp_path: Path, brands_of_examples: Path
) -> None:
    script = repository / "examples" / "three_organisations" / "run.py"
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            *("--dir", str(tmp_path)),
            *("--data", str(brands_of_examples)),
            *("--customers", "3000"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hashes = re.findall(r"(?:in one process|three organisations): +([0-9a-f]{64})", done.stdout)
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    assert "killed the agent of" in done.stdout
    assert "killed the coordinator" in done.stdout
    assert "it is the one that it signed" in done.stdout
    assert "3 kept checkpoints are continued by this log" in done.stdout
    assert "not checked" not in done.stdout
