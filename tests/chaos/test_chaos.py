"""The chaos suite's short form, in a process that no other test has left threads in.

Its federations are forked: a child of a process where gRPC or a cluster's client has run may wait
for ever for a lock that a thread held which it does not have.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).with_name("short_suite.py")


def test_the_short_suite_passes_in_a_process_of_its_own(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", SUITE],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert "6 passed" in done.stdout
