"""A site's rows for one run: read once, frozen, counted, then encoded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fed_audience.errors import ResourceError
from fed_audience.federation.lasting.frozen_rows import identities, only_frozen
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.columns import CategoricalColumn, NumericColumn, read_column
from fed_audience.federation.site.freed_memory import give_back
from fed_audience.federation.site.row_facts import RowFacts
from fed_audience.federation.site.row_roles import key_hashes, parted, plain_column, read_roles
from fed_audience.federation.site.source import rows_of
from fed_audience.federation.site.spooled_table import rest
from fed_audience.gbdt.bins.grid import Grid
from fed_audience.gbdt.bins.label_cap import magnitude_counts
from fed_audience.gbdt.growing.sampling import validation_rows
from fed_audience.gbdt.kernels.codes import BinnedMatrix
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.messages import CountValues
    from fed_audience.federation.site.row_roles import RowRoles
    from fed_audience.federation.site.source import RowSource
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.objectives import Objective


@dataclass(frozen=True, slots=True)
class SiteRows:
    """Rows in memory, training rows first, then validation rows.

    Until ``encode`` numbers are Arrow's own, of many rows in a temporary file, and categories a
    byte or two. Who has encoded them lets go of them.
    ``identities``: uint64[n] of the rows where a checkpoint is to know them again.
    """

    columns: tuple[NumericColumn | CategoricalColumn, ...]
    roles: RowRoles
    rows: int
    training_rows: int
    missing_features: tuple[int, ...]
    identities: NDArray[np.uint64] | None = None

    @property
    def facts(self) -> RowFacts:
        """What the opening of a run asks of the rows."""
        labels = self.roles.labels
        clipped = {
            index: column.clipped
            for index, column in enumerate(self.columns)
            if isinstance(column, NumericColumn) and column.clipped
        }
        return RowFacts(
            self.rows,
            self.training_rows,
            int(np.count_nonzero(labels[: self.training_rows])) if len(labels) else None,
            self.missing_features,
            clipped,
        )

    def label_counts(self, objective: Objective) -> NDArray[np.int64]:
        """Training rows, validation rows, weight of these; label sums of the training rows."""
        first = self.training_rows
        labels, weights = self.roles.labels, self.roles.weights
        held_out = objective.weight_sum(
            None if weights is None else weights[first:], self.rows - first
        )
        sums = objective.label_sums(labels[:first], None if weights is None else weights[:first])
        return np.append(np.array([first, self.rows - first, held_out], dtype=np.int64), sums)

    def count(self, request: CountValues, team: Team = ALONE) -> NDArray[np.int64]:
        """Count training rows as ``request`` asks; the parts in its order, joined."""
        ends = np.cumsum(request.survivor_counts, dtype=np.int64)
        kept = np.split(request.survivors, ends[:-1])
        jobs: list[Callable[[], NDArray[np.int64]]] = [
            *(
                self._numeric_job(feature, Grid.from_json(text))
                for feature, text in zip(request.numeric, request.grids, strict=True)
            ),
            *(self._bucket_job(feature) for feature in request.bucketed),
            *(
                self._refined_job(feature, survivors)
                for feature, survivors in zip(request.refined, kept, strict=False)
            ),
            *([self._label_job()] if request.labels else []),
        ]

        def counted(job: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
            counts = job()
            rest()
            return counts

        return np.concatenate(team.map(counted, jobs))

    def encode(self, bins: Sequence[FeatureBins], team: Team = ALONE) -> BinnedMatrix:
        """Codes of all rows, training rows first."""
        codes = np.empty((len(self.columns), self.rows), dtype=np.uint8)

        def job(index: int) -> None:
            self.columns[index].encode(bins[index], codes[index])
            rest()

        team.map(job, range(len(self.columns)))
        return BinnedMatrix.from_columns(codes, bins, team)

    def _numeric_job(self, feature: int, grid: Grid) -> Callable[[], NDArray[np.int64]]:
        column = self.columns[feature]
        if not isinstance(column, NumericColumn):
            raise Refusal("bad_message", detail=f"feature {feature} is not numeric")
        return partial(column.counts, grid)

    def _bucket_job(self, feature: int) -> Callable[[], NDArray[np.int64]]:
        return self._categorical(feature).bucket_counts

    def _refined_job(
        self, feature: int, survivors: NDArray[np.uint32]
    ) -> Callable[[], NDArray[np.int64]]:
        return partial(self._categorical(feature).refined_counts, survivors)

    def _label_job(self) -> Callable[[], NDArray[np.int64]]:
        if not len(self.roles.labels) and self.rows:
            raise Refusal("bad_message", detail="this site holds no labels in this run")
        return lambda: magnitude_counts(self.roles.labels)

    def _categorical(self, feature: int) -> CategoricalColumn:
        column = self.columns[feature]
        if not isinstance(column, CategoricalColumn):
            raise Refusal("bad_message", detail=f"feature {feature} is not categorical")
        return column


def read_rows(
    manifest: Manifest,
    source: RowSource,
    category_key: bytes,
    *,
    labelled: bool,
    identified: bool = False,
    frozen: NDArray[np.uint64] | None = None,
    share: bool = False,
    team: Team = ALONE,
) -> SiteRows:
    """Read ``source`` once and sort its rows into training and validation.

    ``identified``: find the identities of the rows. ``frozen``: those that the run began with;
    others are left out. ``share``: ``source`` has a share of the site's rows, so that some of
    ``frozen`` are elsewhere. ``team`` reads columns side by side. Raises Refusal (withdrawn) when
    one is gone, and for a missing column, an unusable type, labels, weights or brands that cannot
    be learnt from, or row keys that are null or repeated.
    """
    table = _held(source)
    _refuse_repeated_columns(table, manifest)
    if frozen is not None:
        table = only_frozen(table, manifest, frozen, share=share)
    roles = read_roles(table, manifest, labelled=labelled)
    held_out = _held_out(table, manifest)
    training = ~held_out
    missing = tuple(
        index
        for index, feature in enumerate(manifest.features)
        if feature.name not in table.column_names
    )
    if missing and not manifest.allow_missing_features:
        raise Refusal("missing_feature", manifest.features[missing[0]].name)
    absent = pa.nulls(table.num_rows)

    def read(index: int) -> NumericColumn | CategoricalColumn:
        feature = manifest.features[index]
        column = absent if index in missing else table.column(feature.name)
        found = read_column(feature, column, training, category_key)
        rest()
        return found

    columns = team.map(read, range(len(manifest.features)))
    roles = roles.parted(training)
    known = parted(identities(table, manifest), training) if identified else None
    rest()
    give_back()
    return SiteRows(tuple(columns), roles, table.num_rows, int(training.sum()), missing, known)


def _held(source: RowSource) -> pa.Table:
    try:
        return rows_of(source)
    except ResourceError as error:
        raise Refusal("no_room", detail=error) from error


def _held_out(table: pa.Table, manifest: Manifest) -> NDArray[np.bool_]:
    parameters = manifest.parameters
    groups = plain_column(table, manifest.group_key or manifest.row_key)
    measured = manifest.privacy is not None and manifest.privacy.evaluate
    if parameters.early_stopping_round == 0 and not measured:
        return np.zeros(table.num_rows, dtype=bool)
    hashes = key_hashes(groups, manifest.group_key or manifest.row_key)
    return validation_rows(hashes, seed=parameters.seed, fraction=parameters.validation_fraction)


def _refuse_repeated_columns(table: pa.Table, manifest: Manifest) -> None:
    wanted: Iterable[str | None] = (
        *(feature.name for feature in manifest.features),
        manifest.label,
        manifest.row_key,
        manifest.group_key,
        manifest.weight,
        manifest.brand,
    )
    for name in wanted:
        if name is not None and table.column_names.count(name) > 1:
            raise Refusal("column_type", name, detail="two columns have this name")
