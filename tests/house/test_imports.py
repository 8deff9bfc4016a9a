"""The house has floors: a floor may use those below it, never one above or a room beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = [
    {"cli", "console", "agent"},
    {"demo", "simulate"},
    {"jobs", "testing"},
    {"activation"},
    {"audiences", "consent", "federation"},
    {"warehouse"},
    {"gbdt", "privacy", "audit"},
    {"config", "files"},
    {"errors"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# The demo's brands are data; its report is drawn for any caller.
GIVEN_DATA = {"report"}
# Inside the learner data flows bins -> trees -> scores; what all rooms speak lies beside them.
LEARNER_FLOORS = [
    {"explanation", "growing"},
    {"models", "objectives"},
    {"evaluation", "kernels", "parameters"},
    {"bins"},
    {"arithmetic", "fixed_point", "kernel_cache", "tree"},
]
NARROW = {"gbdt": {"errors"}, "privacy": {"errors", "files"}}


def imported_rooms(path: Path, package: str = "fed_audience") -> Iterator[tuple[int, str]]:
    """Lines of ``path`` that import from ``package``, each with the room it names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module]
            if node.module == package:
                names = [f"{package}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inside = name.removeprefix(f"{package}.")
            if inside not in {name, "__version__"}:
                yield node.lineno, inside.split(".")[0]


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def complaints(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        if room == "__init__" or "project" in path.parts:
            continue
        for line, target in imported_rooms(path):
            where = f"{path.name}:{line} ({room} -> {target})"
            if target == room:
                continue
            if target not in (allowed := NARROW.get(room, {target})):
                found.append(f"{where}: may import only {' and '.join(sorted(allowed))}")
            elif room in GIVEN_DATA and target not in {"errors", "config", "files"}:
                found.append(f"{where}: is given data, may import only errors, config and files")
            elif target in GIVEN_DATA:
                if FLOOR_OF[room] > FLOOR_OF["jobs"]:
                    found.append(f"{where}: below the jobs, which fill reports")
            elif room not in GIVEN_DATA and FLOOR_OF[target] <= FLOOR_OF[room]:
                found.append(f"{where}: same floor or above")
    return found


def test_every_room_imports_only_from_below(repository: Path) -> None:
    assert complaints(repository / "fed_audience") == []


def test_a_wrong_import_is_noticed(tmp_path: Path) -> None:
    room = tmp_path / "fed_audience" / "gbdt"
    room.mkdir(parents=True)
    (room / "histogram.py").write_text("from fed_audience.warehouse import duckdb\n")
    assert complaints(tmp_path / "fed_audience") == [
        "histogram.py:1 (gbdt -> warehouse): may import only errors"
    ]


def test_every_room_of_the_learner_imports_only_from_below(repository: Path) -> None:
    learner = repository / "fed_audience" / "gbdt"
    floor = {room: number for number, rooms in enumerate(LEARNER_FLOORS) for room in rooms}
    for path in sorted(learner.rglob("*.py")):
        room = room_of(path, learner)
        for line, target in imported_rooms(path, "fed_audience.gbdt"):
            below = room in {target, "__init__"} or floor[target] > floor[room]
            assert below, f"{path.name}:{line} ({room} -> {target}): same floor or above"


def test_destinations_use_only_the_public_activation_interface(repository: Path) -> None:
    connectors = repository / "connectors" / "fed_audience_connectors"
    for path in sorted(connectors.rglob("*.py")):
        for line, target in imported_rooms(path):
            assert target in {"activation", "errors", "config"}, f"{path.name}:{line}"


@pytest.mark.parametrize("forbidden", ["__init__.py"])
def test_dbt_does_not_take_our_package_for_a_plugin(repository: Path, forbidden: str) -> None:
    # dbt imports every top-level module named dbt_* that it finds.
    assert not (repository / "dbt_project" / forbidden).exists()
    assert not list((repository / "fed_audience").rglob("dbt_*.py"))
