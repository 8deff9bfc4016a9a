"""Cells run in turn, each in its own process, and none is measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import runner
from benchmarks.learners import Task
from benchmarks.plan import Cell, cells
from benchmarks.runner import Samples, in_turn, measure, run

SMALL = Task(trees=3)


def cell(learner: str = "ours", block: str = "one_thread", **changes: Any) -> Cell:
    return Cell(block, learner, "mixed", 2_000, changes.pop("task", SMALL), **changes)


def test_cells_of_a_block_alternate_and_blocks_do_not_mix() -> None:
    plan = [cell("a"), cell("b"), cell("c", repeats=1), cell("d", block="wide", repeats=1)]
    order = [(one.learner, repeat) for one, repeat in in_turn(plan)]
    assert order == [
        *(("a", 0), ("b", 0), ("c", 0)),
        *(("b", 1), ("a", 1)),
        *(("a", 2), ("b", 2)),
        ("d", 0),
    ]


def test_plan_is_made_smaller_as_asked() -> None:
    for one in cells(most_rows=1_000, trees=7, repeats=2):
        assert one.rows <= 1_000
        assert one.task.trees <= 7
        assert one.repeats <= 2
    whole = list(cells(most_rows=None, trees=None, repeats=None))
    assert max(one.rows for one in whole) == 5_000_000
    assert len(set(whole)) == len(whole)


def test_interrupted_run_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def interrupted(one: Cell, home: Path) -> dict[str, Any]:
        del home
        calls.append(one.learner)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"quality": float(len(calls))}

    monkeypatch.setattr(runner, "measure", interrupted)
    plan, path = [cell("a", repeats=2), cell("b", repeats=2)], tmp_path / "samples.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path, Samples(path, resume=False), lambda *_: None)
    found = run(plan, tmp_path, Samples(path, resume=True), lambda *_: None)
    assert calls == ["a", "b", "b", "b", "a"]
    assert [[one["quality"] for one in samples] for samples in found.values()] == [[1, 5], [2, 4]]


def test_samples_of_another_commit_are_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    Samples(path, "a", resume=False).add(cell(), 0, {"quality": 1.0})
    assert Samples(path, "b", resume=True).get(cell(), 0) is None
    assert Samples(path, "a", resume=True).get(cell(), 0) == {"quality": 1.0}


def test_run_that_does_not_resume_measures_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "measure", lambda *_: {"quality": 1.0})
    path = tmp_path / "samples.jsonl"
    run([cell()], tmp_path, Samples(path, resume=False), lambda *_: None)
    assert Samples(path, resume=False).get(cell(), 0) is None


def test_failed_cell_is_kept_out_of_what_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "measure", lambda *_: {"failed": "exit 1"})
    path = tmp_path / "samples.jsonl"
    found = run([cell(repeats=1)], tmp_path, Samples(path, resume=False), lambda *_: None)
    assert found == {cell(repeats=1): [{"failed": "exit 1"}]}
    assert Samples(path, resume=True).get(cell(repeats=1), 0) is None


@pytest.mark.parametrize("learner", ["ours", "lightgbm_pooled", "sklearn_hist"])
def test_learner_in_its_own_process_says_what_it_took(learner: str, tmp_path: Path) -> None:
    sample = measure(cell(learner, cold=True), tmp_path)
    assert sample["boosting"]["wall"] > 0
    assert sample["boosting"]["cpu"] > 0
    assert (sample["binning"] is None) == (learner == "sklearn_hist")
    assert sample["importing"]["wall"] > 0
    assert sample["peak"] > 10 * 2**20
    assert 0.55 < sample["quality"] < 0.8
    assert sample["version"]


def test_first_histogram_is_timed_from_the_start_of_the_process(tmp_path: Path) -> None:
    sample = measure(cell("first_histogram", block="start", cold=True), tmp_path)
    assert sample["boosting"]["wall"] > sample["importing"]["wall"] > 0
    assert sample["boosting"]["cpu"] > sample["importing"]["cpu"] > 0


def test_process_that_dies_is_a_failure_with_its_last_word(tmp_path: Path) -> None:
    sample = measure(cell(task=Task(trees=3, learning_rate=99)), tmp_path)
    assert sample.keys() == {"failed"}
    assert "learning_rate" in sample["failed"]


def test_absent_environment_of_the_peers_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PEERS_PYTHON", tmp_path / "python")
    assert "make bench-peers" in measure(cell("xgboost_hist"), tmp_path)["unavailable"]
