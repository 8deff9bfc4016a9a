"""What a brand's dbt project says of its feature columns: unit, currency, definition, values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Text = Annotated[str, Field(min_length=1, max_length=500)]


class FeatureDeclaration(StrictModel):
    """`meta.fed_audience` of a column. What is not declared is not compared."""

    definition: Text | None = None
    unit: Text | None = None
    currency: Text | None = None
    vocabulary: tuple[Text, ...] | None = None


def read_declarations(project_dir: Path, model: str) -> dict[str, FeatureDeclaration]:
    """Return column -> declaration of dbt model ``model``, from the project's last parse.

    Empty where dbt has parsed nothing. Raises ConfigError for a key that does not exist.
    """
    file = project_dir.resolve() / "target" / "manifest.json"
    try:
        nodes: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["nodes"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            "the manifest that dbt wrote cannot be read",
            value=type(error).__name__,
            looked=str(file),
            fix="delete it and run `dbt parse` again",
        ) from error
    found = {}
    for node in nodes.values():
        if node.get("resource_type") != "model" or model not in {node["name"], node.get("alias")}:
            continue
        for name, column in (node.get("columns") or {}).items():
            meta = {
                **(column.get("meta") or {}),
                **((column.get("config") or {}).get("meta") or {}),
            }
            if "fed_audience" in meta:
                source = f"meta.fed_audience of column {name} of model {node['name']}"
                found[name] = FeatureDeclaration.parse(meta["fed_audience"], source=source)
    return found
