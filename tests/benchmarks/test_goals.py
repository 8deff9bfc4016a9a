"""Goals are ratios of medians of the right cells, and the tables say what was measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import PARTS, chosen, main, parsed, unequal_models
from benchmarks.goals import GOALS, differences
from benchmarks.learners import Task, auc
from benchmarks.page import END, begin, fill, tables
from benchmarks.plan import PAIR, Cell
from benchmarks.results import Entry, document, entries, machine, write

MIB = 2**20


def sample(binning: float | None, boosting: float, **changes: Any) -> dict[str, Any]:
    def seconds(value: float) -> dict[str, float]:
        return {"wall": value, "cpu": 2 * value}

    return {
        "version": {"numpy": "2"},
        "importing": seconds(0.5),
        "binning": None if binning is None else seconds(binning),
        "boosting": seconds(boosting),
        "baseline": 100 * MIB,
        "peak": 300 * MIB,
        "boosting_peak": 200 * MIB,
        "codes": 0,
        "quality": 0.75,
        "model": "",
        **changes,
    }


def entry(
    block: str, learner: str, *samples: dict[str, Any], rows: int = 1_000_000, **task: Any
) -> Entry:
    cell = Cell(block, learner, "mixed", rows, Task(**task))
    return Entry(cell, samples)


def values(*given: Entry) -> list[float | None]:
    return [goal.state(given)["value"] for goal in GOALS]


def test_nothing_measured_is_no_figure() -> None:
    assert values() == [None] * len(GOALS)
    assert {goal.state([])["verdict"] for goal in GOALS} == {"not measured"}


def test_time_is_the_ratio_of_medians_without_binning_on_one_thread() -> None:
    ours = entry("one_thread", "ours", sample(9, 5), sample(9, 6), sample(9, 50))
    theirs = entry("one_thread", "lightgbm_pooled", sample(1, 9), sample(1, 10), sample(1, 11))
    assert values(ours, theirs)[0] == pytest.approx(0.6)


def test_time_counts_binning_on_two_threads_and_sites_apart() -> None:
    ours = entry("two_threads", "ours", sample(1, 5), threads=2)
    three = entry("two_threads", "ours", sample(2, 6), threads=2, sites=3)
    theirs = entry("two_threads", "lightgbm_pooled", sample(2, 8), threads=2)
    found = values(ours, three, theirs)
    assert found[1] == pytest.approx(0.6)
    assert found[3] == pytest.approx(0.8)


def test_memory_is_what_boosting_holds_beyond_codes_and_baseline() -> None:
    rows = MIB
    one = sample(1, 1, codes=62 * rows)
    assert values(entry("large", "ours", one, rows=rows, threads=2))[7] == pytest.approx(100 - 62)


def test_time_per_row_compares_five_millions_with_one() -> None:
    small = entry("two_threads", "ours", sample(1, 4), threads=2)
    large = entry("large", "ours", sample(1, 22), rows=5_000_000, threads=2)
    assert values(small, large)[8] == pytest.approx(1.1)


def test_quality_pairs_seeds_and_takes_the_mean_of_tables() -> None:
    found = []
    for table, changes in {"bank": (0.0, 0.002), "adult": (-0.004, -0.002)}.items():
        for seed, change in enumerate(changes):
            for learner, quality in zip(PAIR, (0.8 + change, 0.8), strict=True):
                cell = Cell("quality", learner, table, 0, Task(), seed=seed)
                found.append(Entry(cell, (sample(1, 1, quality=quality),)))
    assert differences(found)["bank"] == pytest.approx([0.0, 0.002])
    assert values(*found)[5:7] == pytest.approx([-0.001, -0.003])


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.549, "aim met"), (0.56, "met"), (0.70, "met"), (0.704, "met"), (0.706, "missed")],
)
def test_verdict_reads_the_figure_as_it_is_printed(value: float, verdict: str) -> None:
    ours = entry("one_thread", "ours", sample(1, value))
    theirs = entry("one_thread", "lightgbm_pooled", sample(1, 1))
    assert GOALS[0].state([ours, theirs])["verdict"] == verdict


def test_larger_is_better_where_quality_is_compared() -> None:
    pair = [
        Entry(Cell("quality", learner, "bank", 0, Task()), (sample(1, 1, quality=quality),))
        for learner, quality in zip(PAIR, (0.81, 0.80), strict=True)
    ]
    assert GOALS[5].state(pair)["verdict"] == "aim met"
    assert (
        GOALS[5].state([pair[0], Entry(pair[1].cell, (sample(1, 1, quality=0.9),))])["verdict"]
        == "missed"
    )


def test_learner_that_bins_within_has_no_boosting_of_its_own() -> None:
    one = entry("one_thread", "sklearn_hist", sample(None, 7))
    assert one.median("boosting") is None
    assert one.median("binning", "boosting") == 7
    assert one.median("importing", "binning", "boosting", clock="cpu") == 15


def test_absent_and_failed_cells_are_told_apart() -> None:
    cell = Cell("federated", "fedtree_horizontal", "mixed", 10, Task())
    absent, failed = (
        entries({cell: [{kind: "no libntl"}]})[0] for kind in ("unavailable", "failed")
    )
    assert (absent.problem, absent.failed) == ("no libntl", False)
    assert (failed.problem, failed.failed) == ("no libntl", True)


def test_models_that_differ_are_found() -> None:
    one = entry("two_threads", "ours", sample(1, 1, model="a"))
    same = entry("two_threads", "ours", sample(1, 1, model="a"), sites=3)
    other = entry("two_threads", "ours", sample(1, 1, model="b"), sites=10)
    assert unequal_models([one, same]) == []
    assert unequal_models([one, same, other]) == ["mixed, 1,000,000 rows"]


def test_tables_show_figures_and_why_some_are_missing() -> None:
    cell = Cell("federated", "fedtree_horizontal", "mixed", 300_000, Task(5, sites=3))
    found = [
        entry("one_thread", "ours", sample(1, 4)),
        entry("one_thread", "lightgbm_pooled", sample(2, 8)),
        Entry(cell, (), "fedtree cannot be loaded"),
        Entry(Cell("quality", "ours", "bank", 0, Task()), (), "bank is not in the data folder"),
    ]
    goals = [goal.state(found) for goal in GOALS]
    content = document(found, goals, "python -m benchmarks", datetime.now(UTC), machine())
    text = tables(content, found)
    assert "| time / LightGBM, 1M x 30, 1 thread, binning excluded | 0.70 | 0.55 | 0.50 |" in text
    assert "| fed-audience | 1 | 1.00 | 4.00 | 5.00 | 0.50 | 0.50 | 0.50 | 300 (210) |" in text
    assert "fedtree cannot be loaded" in text
    assert "bank is not in the data folder" in text
    assert content["cells"][0]["samples"][0]["boosting"] == {"wall": 4, "cpu": 8}
    assert content["machine"]["cores"] > 0


def test_page_keeps_what_stands_outside_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    other = f"{begin('other')}\nkept\n{END}"
    page.write_text(f"{other}\n{begin('part')}\nold\n{END}\nafter\n", encoding="utf-8")
    fill(page, "part", "fresh")
    told = f"{other}\n{begin('part')}\nfresh\n{END}\nafter\n"
    assert page.read_text(encoding="utf-8") == told


def test_the_page_has_a_place_for_each_part(repository: Path) -> None:
    page = (repository / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [page.count(begin(part)) for part in PARTS] == [1] * len(PARTS)


def test_a_part_measured_anew_leaves_the_others_in_the_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write({"learners": {"commit": "a"}, "privacy": {"commit": "a"}}, path)
    write({"privacy": {"commit": "b"}}, path)
    assert json.loads(path.read_text()) == {
        "learners": {"commit": "a"},
        "privacy": {"commit": "b"},
    }


def test_command_line_narrows_the_plan() -> None:
    found = chosen(parsed(["--only", "wide", "--learners", "ours", "--rows", "500"]))
    assert all(isinstance(cell, Cell) for cell in found)
    assert {(cell.block, cell.learner, cell.rows) for cell in found if isinstance(cell, Cell)} == {
        ("wide", "ours", 500)
    }


def test_parts_are_chosen_whole() -> None:
    by_part = {part: {one.block for one in chosen(parsed(["--part", part]))} for part in PARTS}
    assert by_part == {part: set(blocks) for part, blocks in PARTS.items()}
    assert {one.block for one in chosen(parsed([]))} == set().union(*by_part.values())


def test_narrowed_run_writes_its_own_results_alone(tmp_path: Path, repository: Path) -> None:
    committed = (repository / "benchmarks" / "README.md").read_bytes()
    small = ["--only", "one_thread", "--learners", "ours", "--rows", "500", "--trees", "2"]
    assert main([*small, "--repeats", "1", "--home", str(tmp_path)]) == 0
    assert (tmp_path / "results.json").is_file()
    assert (repository / "benchmarks" / "README.md").read_bytes() == committed


def test_area_under_the_curve_counts_ties_half() -> None:
    assert auc([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.75)
    assert auc([0, 1], [0.5, 0.5]) == pytest.approx(0.5)
