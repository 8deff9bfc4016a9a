"""A brand's rows with workers of its cluster: each reads its share from the warehouse itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError
from fed_audience.federation import ArrowSource
from fed_audience.federation.workers.ray_engine import RayEngine
from fed_audience.federation.workers.spread_rows import SpreadRows
from fed_audience.jobs.consented_rows import training_rows
from fed_audience.jobs.leak_check import check_leaks
from fed_audience.jobs.participants import Participant, labelled_participant
from fed_audience.jobs.rows import Selection, SiteRows, read_consented_rows
from fed_audience.jobs.service import utc_now
from fed_audience.warehouse.engine import PATIENCE_S
from fed_audience.warehouse.key_buckets import BUCKETS, buckets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta

    import pyarrow as pa

    from fed_audience.federation import Manifest
    from fed_audience.federation.contract.terms import ModelTerms
    from fed_audience.jobs.link_settings import SpreadSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest

ENGINES: Final = ("duckdb", "postgres")
"""Warehouses that deal rows by key alike."""

READING_SECONDS: Final = 600.0
"""How long a worker waits for a DuckDB file: one process at a time holds it."""

SAMPLED_ROWS: Final = 100_000
"""About how many rows tell how features are distributed, and whether one leaks the label."""


@dataclass(frozen=True, slots=True)
class WarehouseShare:
    """Source of one worker: rows of some buckets, each time with consent as of that moment.

    It travels to the worker, and says where rows are: ``site`` carries the connection and the keys
    of its people, for the worker has not the agent's environment. ``ahead``: of the agent's clock
    before the machine's.
    """

    site: Site
    request: TrainingRequest
    manifest: Manifest
    holdout_fraction: float
    ahead: timedelta
    buckets: Sequence[int]

    def read(self, patience_s: float = PATIENCE_S) -> SiteRows:
        """Read the share, held-out rows included. Raises as ``read_consented_rows`` does."""
        spec = self.request.spec
        with self.site.open(patience_s) as warehouse:
            return read_consented_rows(
                self.site,
                warehouse,
                self.request.relation,
                entity=spec.entity,
                label=spec.label,
                as_of=utc_now() + self.ahead,
                selection=Selection(buckets=self.buckets),
            )

    def as_table(self) -> pa.Table:
        """Read the rows of the share that train."""
        return training_rows(self.read(READING_SECONDS), self.manifest, self.holdout_fraction)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of ``as_table``."""
        yield from ArrowSource(self.as_table()).batches()


class SpreadConsentedRows:
    """One run's rows at a brand whose rows are with workers: stands where ``ConsentedRows`` does.

    ``participant``: keys and labels, which the agent itself reads: to count, to find a customer who
    stands in the table twice, and to write down whom the model was trained on. Features are read by
    the workers alone.
    """

    whole = False

    def __init__(
        self,
        site: Site,
        request: TrainingRequest,
        manifest: Manifest,
        terms: ModelTerms,
        clock: Callable[[], datetime],
        settings: SpreadSettings,
    ) -> None:
        require_spreadable(site, settings, manifest)
        self.request = request
        self._manifest = manifest
        self._terms = terms
        self._whole = WarehouseShare(
            replace(site, keys=site.person_keys),
            request,
            manifest,
            terms.holdout_fraction,
            clock() - utc_now(),
            range(BUCKETS),
        )
        shares = [
            replace(self._whole, buckets=buckets_of(share, settings.workers))
            for share in range(settings.workers)
        ]
        self._engine = RayEngine(shares, address=settings.address, cpus=settings.cpus)
        self.source = SpreadRows(self._engine)
        self.participant: Participant = labelled_participant(
            site,
            request,
            manifest.model_name,
            clock(),
            columns=(request.spec.entity, request.spec.label),
        )
        check_leaks(site.name, self._some(), request.relation, request.spec)

    def connect(self) -> None:
        """Reach the cluster, so that a run does not begin without one. Raises ResourceError."""
        self._engine.connect()

    def training(self) -> pa.Table:
        """Return keys and labels of the rows that train, not those held out."""
        rows, fraction = self.participant.rows, self._terms.holdout_fraction
        return training_rows(rows, self._manifest, fraction, branded=False)

    def sample(self) -> pa.Table:
        """Read some rows, all of a small table, by which to know the features' distributions."""
        return self._some().table

    def _some(self) -> SiteRows:
        rows = max(1, self.participant.rows.table.num_rows)
        buckets = range(max(1, min(BUCKETS, BUCKETS * SAMPLED_ROWS // rows)))
        return replace(self._whole, buckets=buckets).read()

    def close(self) -> None:
        """End the workers, and leave the cluster."""
        self.source.close()
        self._engine.close()


def require_spreadable(
    site: Site, settings: SpreadSettings, manifest: Manifest | None = None
) -> None:
    """Raise ConfigError where the rows of ``site`` (for ``manifest``) cannot be with workers.

    That is so without Ray too.
    """
    RayEngine((), address=settings.address)
    if site.profile.type not in ENGINES:
        raise ConfigError(
            f"{site.name}: workers cannot read their shares from this warehouse",
            value=site.profile.type,
            limit=", ".join(ENGINES),
            looked="agent.rows in federation.yml",
            fix="leave `rows` out: the agent reads the table itself",
        )
    if manifest is not None and manifest.privacy is not None:
        raise ConfigError(
            f"{site.name}: a run with noise needs all rows in one process",
            value=f"privacy of {manifest.model_name}",
            limit="models without `privacy`",
            looked="agent.rows in federation.yml",
            fix="leave `rows` out of the agent's settings for as long as it trains such models",
        )
