"""What a brand's dbt project says of its data: what trains, what holds scores, who uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fed_audience.warehouse.manifest import ModelSpec, read_document, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fed_audience.warehouse.protocol import Relation

SCORES: Final = "fct_scores"
"""The package's table of scores; whoever selects from it makes another score table."""


@dataclass(frozen=True, slots=True)
class DeclaredTraining:
    """A dbt model that trains. ``said``: keys of its meta that the analyst wrote.

    ``columns``: name and description of each documented column.
    """

    name: str
    file: str
    relation: Relation
    spec: ModelSpec
    said: frozenset[str]
    description: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DeclaredExposure:
    """A use of data outside dbt. The last four are of its `meta.fed_audience`, empty if unsaid."""

    name: str
    owner: str
    description: str
    reads: tuple[str, ...]
    model: str
    purpose: str
    legal_basis: str
    destination: str


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A dbt model with scores of people. ``exposed``: whether an exposure reads it in the end."""

    name: str
    file: str
    exposed: bool


@dataclass(frozen=True, slots=True)
class DeclaredUses:
    """All that one project declares, each kind by name."""

    trainings: tuple[DeclaredTraining, ...]
    exposures: tuple[DeclaredExposure, ...]
    score_tables: tuple[ScoreTable, ...]


def read_declared_uses(project_dir: Path) -> DeclaredUses:
    """Read the project's last parse. Raises DbtError without one, ConfigError for a wrong spec."""
    document = read_document(project_dir)
    nodes: Mapping[str, Any] = document["nodes"]
    by_name = {node["name"]: node for node in nodes.values() if node["resource_type"] == "model"}
    trainings = []
    for model in read_manifest(project_dir):
        node = by_name[model.name]
        columns = {
            name: str(column.get("description") or "")
            for name, column in (node.get("columns") or {}).items()
        }
        trainings.append(
            DeclaredTraining(
                model.name,
                model.file,
                model.relation,
                model.spec,
                frozenset(_meta(node)),
                str(node.get("description") or "").strip(),
                tuple(columns.items()),
            )
        )
    return DeclaredUses(
        tuple(trainings),
        tuple(
            _exposure(one)
            for one in sorted(
                (document.get("exposures") or {}).values(), key=lambda one: str(one["name"])
            )
        ),
        _score_tables(nodes, document.get("child_map") or {}),
    )


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    found = ((node.get("config") or {}).get("meta") or {}).get("fed_audience")
    return found if isinstance(found, dict) else {}


def _exposure(node: Mapping[str, Any]) -> DeclaredExposure:
    owner, said = node.get("owner") or {}, _meta(node)
    reads = (node.get("depends_on") or {}).get("nodes") or []
    return DeclaredExposure(
        name=str(node["name"]),
        owner=str(owner.get("name") or owner.get("email") or ""),
        description=" ".join(str(node.get("description") or "").split()),
        reads=tuple(sorted(one.rpartition(".")[2] for one in reads)),
        model=str(said.get("model") or ""),
        purpose=str(said.get("purpose") or ""),
        legal_basis=str(said.get("legal_basis") or ""),
        destination=str(said.get("destination") or ""),
    )


def _score_tables(
    nodes: Mapping[str, Any], children: Mapping[str, list[str]]
) -> tuple[ScoreTable, ...]:
    first = [name for name in nodes if name.startswith("model.") and name.endswith(f".{SCORES}")]
    held = dict.fromkeys(first)
    for name in first:
        held |= dict.fromkeys(one for one in children.get(name, ()) if one.startswith("model."))
    return tuple(
        ScoreTable(
            str(nodes[name]["name"]),
            str(nodes[name]["original_file_path"]),
            _is_exposed(name, children),
        )
        for name in sorted(held)
    )


def _is_exposed(name: str, children: Mapping[str, list[str]]) -> bool:
    seen, open_ = {name}, [name]
    while open_:
        for child in children.get(open_.pop(), ()):
            if child.startswith("exposure."):
                return True
            if child not in seen:
                seen.add(child)
                open_.append(child)
    return False
