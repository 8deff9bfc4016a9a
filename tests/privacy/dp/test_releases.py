"""A noisy vector is drawn once: what was released is found again, whatever happened between."""

import os
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


def runs_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_of_many_runs_only_the_latest_can_be_repeated(tmp_path: Path) -> None:
    runs = [f"{number:064x}" for number in range(5)]
    for number, run in enumerate(runs):
        StoredReleases(tmp_path, runs_kept=3).keep(run, "counts", ASKED, VECTOR)
        os.utime(tmp_path / run, ns=(number, number))
    assert runs_in(tmp_path) == set(runs[2:])
    releases = StoredReleases(tmp_path, runs_kept=3)
    for run in runs[2:]:
        assert releases.of(run, "counts") is not None
    for run in runs[:2]:
        with pytest.raises(ResourceError, match="the run is over"):
            releases.of(run, "counts")
        with pytest.raises(ResourceError, match="the run is over"):
            releases.keep(run, "tree 0", ASKED, VECTOR)
    assert runs_in(tmp_path) == set(runs[2:])


def test_a_run_in_use_outlives_one_that_began_later(tmp_path: Path) -> None:
    releases = StoredReleases(tmp_path, runs_kept=2)
    old, idle, last = ("0" * 64, "1" * 64, "2" * 64)
    for run in (old, idle):
        releases.keep(run, "counts", ASKED, VECTOR)
    releases.keep(old, "tree 0", ASKED, VECTOR)
    os.utime(tmp_path / idle, ns=(1, 1))
    releases.keep(last, "counts", ASKED, VECTOR)
    assert runs_in(tmp_path) == {old, last}


def test_a_run_that_was_being_dropped_when_the_machine_stopped_is_over(tmp_path: Path) -> None:
    releases = StoredReleases(tmp_path, runs_kept=1)
    releases.keep(RUN, "counts", ASKED, VECTOR)
    (tmp_path / f"{RUN}.over").touch()  # and its vectors are there still
    with pytest.raises(ResourceError, match="the run is over"):
        releases.of(RUN, "counts")
    releases.keep("0" * 64, "counts", ASKED, VECTOR)
    assert runs_in(tmp_path) == {"0" * 64}
    assert (tmp_path / f"{RUN}.over").exists()


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
