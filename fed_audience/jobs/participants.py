"""Who takes part in a training: each brand's claimed request and the rows it may use now."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.errors import (
    ConfigError,
    DataError,
    FedAudienceError,
    FederationError,
    WarehouseError,
)
from fed_audience.jobs.leak_check import check_leaks
from fed_audience.jobs.rows import Selection, SiteRows, read_consented_rows
from fed_audience.jobs.training_content import OWN_AFFAIR
from fed_audience.warehouse.control import (
    LEASE,
    TrainingRequest,
    claim_request,
    finish_request,
    release_request,
    verify_build,
)
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.manifest import ModelSpec
    from fed_audience.warehouse.protocol import Warehouse

CLAIMED_BY: Final = "fed-audience train"


@dataclass(frozen=True, slots=True)
class Participant:
    """One brand of a training. A lookalike's target brand has no request and no labels."""

    site: Site
    rows: SiteRows
    request: TrainingRequest | None = None

    @property
    def build(self) -> str | None:
        """What the rows are a state of: the table and dbt's build of it; None without a request."""
        if self.request is None:
            return None
        return f"{self.request.relation.sql()}@{self.request.build_id}"


class Claims:
    """The requests claimed for one training: all succeed, all fail, or all are given back."""

    def __init__(self, sites: Sequence[Site], model: str, now: datetime) -> None:
        self._sites = sites
        self._model = model
        self._now = now
        self._held: dict[str, tuple[Site, TrainingRequest]] = {}

    def claim(self) -> dict[str, TrainingRequest]:
        """Claim the model's request at each site that has one; at least one must.

        Raises DataError when no site has a request, or a table is not the one requested.
        """
        for site in self._sites:
            try:
                with site.open() as warehouse:
                    self._claim_at(site, warehouse)
            except FedAudienceError as error:
                error.looked = f"{site.name}, {error.looked or 'its warehouse'}"
                raise
        if not self._held:
            raise DataError(
                "no brand has queued a training of that model",
                value=self._model,
                looked=", ".join(f"training_requests at {site.name}" for site in self._sites),
                fix="run `dbt build` in the brands' projects; its log says why nothing was queued",
            )
        return {name: request for name, (_, request) in self._held.items()}

    def _claim_at(self, site: Site, warehouse: Warehouse) -> None:
        request = claim_request(
            warehouse, claimed_by=CLAIMED_BY, now=self._now, model_name=self._model
        )
        if request is not None:
            self._held[site.name] = (site, request)
            verify_build(warehouse, request, now=self._now)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Give every request what became of the work inside.

        They end as failed when the rounds break; after Ctrl-C, and after an error that the user
        mends, they are pending again. An error says of requests that could not be reached.
        """
        try:
            yield
        except KeyboardInterrupt:
            self.give_back()
            raise
        except FederationError as error:
            _add(error, self.fail(str(error)))
            raise
        except FedAudienceError as error:
            # Brands that did nothing wrong keep their place in the queue.
            _add(error, self.give_back())
            raise
        except BaseException as error:
            self.fail(f"unexpected {type(error).__name__}")
            raise

    def succeed(self) -> None:
        """End every claimed request as succeeded."""
        self._end("succeeded")

    def spare(self, why: str) -> None:
        """End every claimed request as unchanged, saying since when."""
        self._end("unchanged", why)

    def _end(self, status: Literal["succeeded", "unchanged"], detail: str | None = None) -> None:
        for site, request in self._held.values():
            with site.open() as warehouse:
                finish_request(
                    warehouse, request.request_id, status=status, now=self._now, detail=detail
                )

    def fail(self, why: str) -> str:
        """End every claimed request as failed, saying why; dbt's next build may queue again.

        Returns what a user must know of requests that could not be reached, or nothing.
        """

        def end(warehouse: Warehouse, request: TrainingRequest) -> None:
            finish_request(
                warehouse, request.request_id, status="failed", now=self._now, detail=why
            )

        return self._settle(end)

    def give_back(self) -> str:
        """Make every claimed request pending again; returns as ``fail`` does."""
        return self._settle(
            lambda warehouse, request: release_request(warehouse, request, claimed_by=CLAIMED_BY)
        )

    def _settle(self, settle: Callable[[Warehouse, TrainingRequest], None]) -> str:
        """Settle the requests that are still claimed, each brand whatever befalls another."""
        lost = []
        for site, request in self._held.values():
            try:
                with site.open() as warehouse:
                    status = warehouse.query(
                        "select status from fed_audience.training_requests where request_id = ?",
                        [request.request_id],
                    )["status"]
                    if len(status) and status[0].as_py() == "claimed":
                        settle(warehouse, request)
            except FedAudienceError:
                lost.append(site.name)
        return f"the request at {', '.join(lost)} stays claimed for {LEASE}" if lost else ""


def _add(error: FedAudienceError, fate: str) -> None:
    if fate:
        error.fix = f"{error.fix or 'run this again'}; {fate}"


def agreed_spec(requests: dict[str, TrainingRequest]) -> ModelSpec:
    """Return what all requests ask for; raises ConfigError naming what they disagree on.

    Who the partners are, how often and what is checked is each brand's own affair.
    """
    own = set(OWN_AFFAIR)
    (first, spec), *others = ((site, request.spec) for site, request in requests.items())
    for site, other in others:
        for key, value in spec.model_dump(exclude=own).items():
            if getattr(other, key) != value:
                raise ConfigError(
                    f"brands disagree on {key} of model {spec.model}",
                    value=f"{first}: {value}, {site}: {getattr(other, key)}",
                    looked="meta.fed_audience of the training models",
                    fix="agree on one value in both dbt projects",
                )
    return spec


def check_partners(sites: Sequence[Site], requests: dict[str, TrainingRequest]) -> None:
    """Raise ConfigError when a brand takes part that another did not name as a partner."""
    for name, request in requests.items():
        for site in sites:
            if site.name != name and site.name not in request.spec.partners:
                raise ConfigError(
                    f"{name} did not agree to train {request.model_name} with {site.name}",
                    value=site.name,
                    limit=", ".join(request.spec.partners) or "no partners",
                    looked=f"meta.fed_audience.partners of {request.relation.name} at {name}",
                    fix=f"add {site.name} to the partners there, or leave the site out",
                )


def check_rows(
    participants: Sequence[Participant], training: Mapping[str, pa.Table], minimum: int
) -> None:
    """Raise DataError when a brand would train with fewer than ``minimum`` rows.

    ``training``: the rows of each brand, less those kept aside.
    """
    for one in participants:
        rows = training[one.site.name].num_rows
        if rows < minimum:
            raise DataError(
                f"{one.site.name} has too few consented rows to train with",
                value=f"{rows:,}, and {one.rows.table.num_rows - rows:,} kept aside to measure on",
                limit=f"{minimum:,} or more (minimum_rows)",
                looked=f"consent of {one.rows.table.num_rows + one.rows.withdrawn:,} rows",
                fix="wait for more consented rows, or leave the site out of the model's sites",
            )


def labelled_participant(
    site: Site,
    request: TrainingRequest | None,
    model: str,
    as_of: datetime,
    columns: Sequence[str] = (),
) -> Participant:
    """Read the training rows of a brand with labels.

    ``columns``: these alone, of which none is a feature; all without. Raises DataError without a
    request, and where a feature leaks the label.
    """
    if request is None:
        raise DataError(
            f"{site.name} has not queued a training of that model",
            value=model,
            looked=f"training_requests at {site.name}",
            fix=f"run `dbt build` for {site.name}, or leave it out of the model's sites",
        )
    with site.open() as warehouse:
        rows = read_consented_rows(
            site,
            warehouse,
            request.relation,
            entity=request.spec.entity,
            label=request.spec.label,
            as_of=as_of,
            selection=Selection(columns=columns),
        )
    if not columns:
        check_leaks(site.name, rows, request.relation, request.spec)
    return Participant(site, rows, request)


def unlabelled_participant(
    site: Site, spec: ModelSpec, cutoff: datetime, as_of: datetime
) -> Participant:
    """Read the features of a lookalike's target brand at the seed brand's cutoff."""
    relation = site.model("fct_customer_features")
    with site.open() as warehouse:
        rows = read_consented_rows(
            site,
            warehouse,
            relation,
            entity=spec.entity,
            as_of=as_of,
            selection=Selection(where=f"{quoted(spec.cutoff)} = ?", parameters=(cutoff,)),
        )
    if not rows.table.num_rows:
        raise WarehouseError(
            f"{site.name} has no consented features at the seed brand's cutoff",
            value=f"{cutoff:%Y-%m-%d %H:%M}",
            looked=relation.sql(),
            fix="build both brands' features as of the same instant",
        )
    return Participant(site, rows)
