"""What a lookalike needs before its first tree: rules, shared features, brand differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.audiences.discriminator import (
    DISCRIMINATOR_LABEL,
    discriminator_runs,
    with_constant_label,
)
from fed_audience.audiences.lookalike import (
    BrandDifference,
    CommonFeatures,
    LookalikeSettings,
    brand_discriminator_verdict,
    check_seeds,
    common_features,
)
from fed_audience.errors import ConfigError
from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.evaluation import Metrics
from fed_audience.jobs.rows import agreed_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fed_audience.federation import Envelope
    from fed_audience.gbdt.bins import Feature
    from fed_audience.jobs.participants import Participant
    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.warehouse.manifest import ModelSpec


def lookalike_settings(
    settings: FederationSettings, model: ModelSettings, spec: ModelSpec, sites: Sequence[str]
) -> LookalikeSettings | None:
    """Return the rules of a lookalike, None for another task; raises ConfigError."""
    if spec.task != "lookalike":
        return None
    if spec.mode is None:
        raise ConfigError(
            "a lookalike needs a mode",
            limit="seed_rule, seed_brand",
            looked=f"meta.fed_audience of model {model.name}",
            fix="add 'mode: seed_rule' when every brand labels by the same rule, else seed_brand",
        )
    return LookalikeSettings(
        mode=spec.mode,
        brands=tuple(sites),
        seed_brand=spec.seed_brand,
        minimum_seeds=settings.minimum_seeds,
        setting="demo" if settings.demonstration else "production",
        override_reason=model.override_brand_difference,
    )


def shared_features(
    participants: Sequence[Participant], spec: ModelSpec, rules: LookalikeSettings
) -> tuple[tuple[Feature, ...], CommonFeatures]:
    """Return the features that every brand fills, and why the others were left out."""
    by_site = {one.site.name: one.rows for one in participants}
    common = common_features(
        {name: rows.fill_rates for name, rows in by_site.items()},
        minimum_fill=rules.minimum_fill,
        brand_columns=spec.exclude_features,
    )
    features = agreed_features(by_site, spec.exclude_features)
    return tuple(feature for feature in features if feature.name in common.kept), common


def seed_warnings(
    training: Mapping[str, pa.Table], label: str, rules: LookalikeSettings
) -> tuple[str, ...]:
    """Count seeds at each brand that has labels; raises DataError for too few in production."""
    found = []
    for site, table in training.items():
        seeds = int(pc.sum(table[label]).as_py() or 0)
        if warning := check_seeds(seeds, table.num_rows - seeds, rules):
            found.append(f"{site}: {warning.message}")
    return tuple(found)


def brand_differences(
    tables: Mapping[str, pa.Table],
    rules: LookalikeSettings,
    asked: Manifest,
    category_key: bytes,
    on_message: Callable[[Envelope], None],
) -> dict[str, BrandDifference]:
    """Judge how far each target's customers differ from the seed brand's, by federated training.

    ``tables``: consented rows of every brand; ``asked``: the training they are for. What leaves the
    sites is told to ``on_message``. Raises DataError when a target differs too much
    and no override is recorded.
    """
    if rules.seed_brand is None:
        return {}
    judged = {}
    for run in discriminator_runs(
        rules.seed_brand, rules.targets, asked.features, asked.parameters
    ):
        programs = {}
        for site in run.sites:
            batches = [
                with_constant_label(batch, run, site, row_key=asked.row_key)
                for batch in tables[site].to_batches()
            ]
            source = ArrowSource(pa.Table.from_batches(batches))
            programs[site] = SiteProgram(site, source, category_key)
        manifest = Manifest(
            run_id=run.model_name,
            model_name=run.model_name,
            task="propensity",
            features=run.features,
            label=DISCRIMINATOR_LABEL,
            row_key=asked.row_key,
            sites=run.sites,
            overrides=overrides_for(run.sites, run.sites),
            parameters=run.parameters,
        )
        metrics = train(InProcessTransport(programs, on_message), manifest).metrics
        auc = metrics.auc if isinstance(metrics, Metrics) and metrics.auc is not None else 0.5
        judged[run.target] = brand_discriminator_verdict(auc, override_reason=rules.override_reason)
        judged[run.target].require(run.target)
    return judged
