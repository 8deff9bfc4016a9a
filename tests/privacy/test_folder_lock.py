"""One process at a time uses a ledger: two would forget what the other answered."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fed_audience.privacy.folder_lock import lock_of
from fed_audience.privacy.ledger import FileLedger
from fed_audience.privacy.refusals import SecureSumError

HOLD = """
import sys
from pathlib import Path
from fed_audience.privacy.ledger import FileLedger
ledger = FileLedger(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the ledger in ``folder`` until it is told to end, or killed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_by_name_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "ant.ledger"
    with another_process(folder) as process:
        with pytest.raises(SecureSumError, match="another process uses") as caught:
            FileLedger(folder)
        assert caught.value.reason == "ledger_in_use"
        assert str(folder) in str(caught.value)
        process.kill()
        process.wait()
        ledger = FileLedger(folder)
        ledger.save(ledger.record("run", "terms"))
    refused = subprocess.run(
        [sys.executable, "-c", HOLD, str(folder)],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "ledger_in_use" in refused.stderr or "another process uses" in refused.stderr


def test_a_process_shares_its_lock_and_gives_it_free_with_the_last_ledger(tmp_path: Path) -> None:
    first, second = FileLedger(tmp_path), FileLedger(tmp_path)
    assert lock_of(tmp_path) is lock_of(tmp_path / ".")
    del first
    gc.collect()
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    assert subprocess.run(command, input="", capture_output=True, check=False).returncode != 0
    del second
    gc.collect()
    assert subprocess.run(command, input="", capture_output=True, check=False).returncode == 0
