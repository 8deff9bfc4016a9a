"""Each brand's own copy of a shared model, made at home from what it alone knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from fed_audience.federation.contract.checks import BRAND_COLUMN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.federation import Manifest, SiteProgram, TrainingResult
    from fed_audience.gbdt.models.model import Model
    from fed_audience.jobs.settings import ModelSettings

BRAND: Final = BRAND_COLUMN
"""Column that the job adds to say whose customer a row is."""


def with_brand(table: pa.Table, site: str) -> pa.Table:
    """Say of each row whose customer it is."""
    return table.append_column(BRAND, pa.repeat(site, table.num_rows))


def own_copies(
    programs: Mapping[str, SiteProgram],
    manifest: Manifest,
    result: TrainingResult,
    model: ModelSettings,
) -> tuple[dict[str, Model], tuple[str, ...]]:
    """Make each brand's own copy of the model, at home, where it has one; and a note each.

    Its base score and its trees stay in the brand's warehouse, as its rows do. A brand without
    labels takes the base score of all.
    """
    own: dict[str, Model] = {}
    notes: list[str] = []
    if model.brand_base:
        whole = replace(result.model, base_scores=result.base_scores)
        own = dict.fromkeys(manifest.sites, whole)
        for site in manifest.training_sites:
            own |= programs[site].own_copies().models(result.model)
    if not model.continuation:
        return own, ()
    for site in manifest.training_sites:
        found = programs[site].own_copies().continuation(result.model)
        if found.chosen:
            own[site] = found.on(own.get(site, result.model))
            notes.append(
                f"{site} scores with {found.rounds} rounds of trees of its own on the shared "
                f"model: mean loss on rows held out at home {found.gain:.4f} lower"
            )
        else:
            notes.append(f"{site} keeps the shared model: trees of its own did not win at home")
    return own, tuple(notes)
