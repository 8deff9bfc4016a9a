"""A few runs of the chaos suite; ``make chaos`` does hundreds.

Not collected by name: ``test_chaos`` runs it in a process of its own, to be forked from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from fed_audience.federation import TrainingResult
from tests.chaos.disturbance import Blow, Outcome, disturbed, leaving, returning
from tests.chaos.federation import COORDINATOR, Members, Processes
from tests.chaos.tables import federation

# What is forked uses none of the few threads that it leaves behind.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name: sockets have paths."""
    path = Path(mkdtemp(prefix="chaos"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def three(folder: Path) -> tuple[Members, TrainingResult]:
    return federation(3, 240, 2, folder / "three")


def test_undisturbed_processes_end_in_the_bytes_of_one(
    folder: Path, three: tuple[Members, TrainingResult]
) -> None:
    processes = Processes(three[0], folder / "u", 20.0, 0)
    outcome = disturbed(processes, [])
    assert outcome.fault == ""
    assert processes.outcome is not None
    assert processes.outcome["text"] == three[1].model_text


def test_everybody_is_killed_in_the_middle_and_the_bytes_are_the_same(
    folder: Path, three: tuple[Members, TrainingResult]
) -> None:
    processes = Processes(three[0], folder / "e", 20.0, 2)
    everybody = (COORDINATOR, *three[0].manifest.sites)
    outcome = disturbed(processes, [Blow(0.0, everybody, "killed", 0.1)], first_tree=True)
    assert (outcome.fault, outcome.kills) == ("", 4)
    assert processes.outcome is not None
    assert processes.outcome["text"] == three[1].model_text


@pytest.mark.parametrize("number", range(3))
def test_random_processes_killed_at_random_moments(
    number: int, folder: Path, three: tuple[Members, TrainingResult]
) -> None:
    outcome = returning(three[0], folder, number, seconds=1.0, seed=1)
    assert outcome.fault == "", outcome
    assert outcome.sha256 == three[1].sha256, outcome


def test_sites_that_never_return_leave_a_model_and_show_nobody(folder: Path) -> None:
    members, _ = federation(10, 300, 3, folder / "ten")
    outcome: Outcome = leaving(members, folder, 0, seconds=0.2, seed=1)
    assert outcome.fault == "", outcome
    assert outcome.stopped in {"all_trees", "site_missing"}
