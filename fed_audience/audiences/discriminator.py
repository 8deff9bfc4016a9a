"""How far a target brand differs from the seed brand, learnt without moving a row.

The question "is this a customer of the seed brand?" has an answer that each site knows about all
of its rows: 1 at the seed brand, 0 at the target. So the discriminator is an ordinary federated
training whose label is one constant a site, evaluated on held-out rows by the same summed score
histograms; the job runs it and hands the AUC to ``brand_discriminator_verdict``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.gbdt.bins import Feature
    from fed_audience.gbdt.parameters import TrainingParameters

DISCRIMINATOR_LABEL: Final = "is_seed_brand"
"""Name of the constant label column."""


@dataclass(frozen=True, slots=True)
class DiscriminatorRun:
    """What the job puts into the manifest: one federated training of two sites."""

    model_name: str
    seed_brand: str
    target: str
    features: tuple[Feature, ...]
    parameters: TrainingParameters

    @property
    def sites(self) -> tuple[str, str]:
        """The two sites, seed brand first."""
        return self.seed_brand, self.target

    def label_of(self, site: str) -> int:
        """Return the constant label of all rows at ``site``; raises DataError for a stranger."""
        if site not in self.sites:
            raise DataError(
                "that site takes no part in telling the two brands apart",
                value=site,
                limit=", ".join(self.sites),
            )
        return int(site == self.seed_brand)


def discriminator_runs(
    seed_brand: str,
    targets: Sequence[str],
    features: Sequence[Feature],
    parameters: TrainingParameters,
) -> tuple[DiscriminatorRun, ...]:
    """Return one run a target, on the lookalike's own features and its ``parameters``.

    The trees are few and shallow (at most 50 of depth 4), which is enough to see a difference
    and keeps the check cheap; a fifth of the rows are held out to measure the AUC on.
    """
    if not features:
        raise DataError("brands cannot be told apart without features")
    if seed_brand in targets or len(set(targets)) != len(targets):
        raise DataError(
            "targets must be other brands than the seed brand, each once",
            value=f"seed {seed_brand}, targets {', '.join(targets)}",
        )
    small = replace(
        parameters,
        n_estimators=min(parameters.n_estimators, 50),
        max_depth=min(parameters.max_depth, 4),
        num_leaves=min(parameters.num_leaves, 16),
        validation_fraction=parameters.validation_fraction or 0.2,
        early_stopping_round=parameters.early_stopping_round or 10,
    )
    return tuple(
        DiscriminatorRun(
            f"brand_difference_{seed_brand}_{target}", seed_brand, target, tuple(features), small
        )
        for target in targets
    )


def with_constant_label(
    rows: pa.RecordBatch, run: DiscriminatorRun, site: str, *, row_key: str
) -> pa.RecordBatch:
    """Return a site's rows for ``run``: row key, the run's features, the site's constant label.

    Every other column is dropped, the site's real label above all. Raises DataError when a
    feature or the key is missing; a brand that lacks a feature lacks it in common.
    """
    columns = [row_key, *(feature.name for feature in run.features)]
    missing = [name for name in columns if name not in rows.schema.names]
    if missing:
        raise DataError(
            "a column needed to tell the brands apart is missing",
            value=", ".join(missing),
            looked=f"rows of {site}",
            fix="use the features that lookalike.common_features kept",
        )
    label = pa.array(np.full(rows.num_rows, run.label_of(site), dtype=np.int8))
    chosen = rows.select(columns)
    return pa.RecordBatch.from_arrays(
        [*chosen.columns, label], names=[*columns, DISCRIMINATOR_LABEL]
    )
