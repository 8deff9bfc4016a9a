"""A noisy vector is drawn once: what was released is found again, whatever happened between."""

from pathlib import Path

import numpy as np
import pytest

from fed_audience.errors import ResourceError
from fed_audience.privacy.dp.releases import Releases, StoredReleases

RUN, ASKED = "ab" * 32, "cd" * 32
VECTOR = np.array([-(2**62), -1, 0, 7, 2**62], dtype=np.int64)


def test_what_was_released_is_found_by_its_run_and_round() -> None:
    releases = Releases()
    releases.keep(RUN, "tree 3", ASKED, VECTOR)
    known = releases.of(RUN, "tree 3")
    assert known is not None
    assert known[0] == ASKED
    assert (known[1] == VECTOR).all()
    assert releases.of(RUN, "tree 4") is None
    assert releases.of("ef" * 32, "tree 3") is None


def test_another_process_finds_it_too(tmp_path: Path) -> None:
    StoredReleases(tmp_path / "releases").keep(RUN, "counts", ASKED, VECTOR)
    known = StoredReleases(tmp_path / "releases").of(RUN, "counts")
    assert known is not None
    assert known[0] == ASKED
    assert (known[1] == VECTOR).all()
    assert StoredReleases(tmp_path / "releases").of(RUN, "tree 0") is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    StoredReleases(tmp_path).keep(RUN, "counts", ASKED, VECTOR)
    (path,) = tmp_path.rglob("*.release")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResourceError, match="it is damaged"):
        StoredReleases(tmp_path).of(RUN, "counts")


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ResourceError, match="cannot be kept"):
        StoredReleases(tmp_path / "taken").keep(RUN, "counts", ASKED, VECTOR)
