"""Three generated brands, built with dbt: what the examples of several organisations train on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from fed_audience.demo.settings import AS_OF
from fed_audience.demo.workspace import build_brand, environment, prepare
from fed_audience.jobs.settings import SiteSettings, load_federation
from fed_audience.jobs.train import TrainedModel, train_model

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL: Final = "repurchase"
PARAMETERS: Final = {"n_estimators": 150, "learning_rate": 0.1, "max_depth": 5}
MINIMUM_ROWS: Final = 100


def built(data: Path, customers: int, copies: Sequence[Path]) -> tuple[str, ...]:
    """Build each brand with dbt below ``data``; give each folder of ``copies`` its project.

    What an earlier run built of the same customers is reused. Returns the brands' names; the
    environment leads to their keys afterwards.
    """
    workspace, generated = prepare(
        data, customers=customers, seed=7, setting="kindred", on_step=print
    )
    os.environ.update(environment(workspace))
    brands = tuple(brand.name for brand in generated.brands)
    for folder in copies:
        shutil.rmtree(folder, ignore_errors=True)
    for brand in brands:
        print(f"build {brand} with dbt", flush=True)
        site = SiteSettings(name=brand, project=workspace.project(brand))
        build_brand(workspace, generated, site)
        for folder in copies:
            shutil.copytree(site.project, folder / brand / "project", symlinks=True)
    return brands


def in_one_process(
    folder: Path, brands: tuple[str, ...], parameters: dict[str, Any] = PARAMETERS
) -> TrainedModel:
    """Train as one operator of all three warehouses would."""
    document = {
        "name": "together",
        "minimum_rows": MINIMUM_ROWS,
        "sites": [{"name": brand, "project": f"{brand}/project"} for brand in brands],
        "models": [{"name": MODEL, "parameters": parameters}],
    }
    (folder / "federation.yml").write_text(yaml.safe_dump(document))
    settings = load_federation(folder / "federation.yml")
    key = Path(os.environ["FED_AUDIENCE_CATEGORY_KEY_FILE"]).read_text().strip().encode()
    return train_model(settings, settings.model(MODEL), as_of=AS_OF, category_key=key)


def declared(together: TrainedModel, parameters: dict[str, Any] = PARAMETERS) -> dict[str, Any]:
    """Return the model as the operator declares it and every brand signs it."""
    spec = together.spec
    return {
        "name": MODEL,
        "parameters": parameters,
        "terms": {
            "entity": spec.entity,
            "label": {
                "column": spec.label,
                "definition": "orders again after the cutoff",
                "horizon_days": 90,
            },
            "features": [
                {
                    "name": feature.name,
                    "definition": feature.name.removeprefix("f_").replace("_", " "),
                    "type": "category" if feature.categorical else "number",
                }
                for feature in together.manifest.features
            ],
        },
    }
