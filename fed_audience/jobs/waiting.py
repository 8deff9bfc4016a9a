"""Wait until every brand of a model has queued its training, and say for whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fed_audience.errors import StillWaiting, WarehouseError
from fed_audience.jobs.sites import site_of
from fed_audience.warehouse.control import waiting_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest

POLL_SECONDS: Final = 2.0


def await_requests(
    settings: FederationSettings,
    model: ModelSettings,
    *,
    clock: Callable[[], datetime],
    timeout: float | None = None,
    on_wait: Callable[[tuple[str, ...]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once all brands of ``model`` have queued it; no warehouse is held in between.

    Of a lookalike around the seeds of one brand, that brand alone has to. ``timeout`` in seconds,
    None for ever; ``on_wait`` is told whom it waits for, whenever that changes. Raises
    StillWaiting naming the brands.
    """
    sites = [site_of(site) for site in settings.sites_of(model.sites)]
    deadline = None if timeout is None else time.monotonic() + timeout
    told: tuple[str, ...] = ()
    while missing := _missing(sites, model.name, clock()):
        if deadline is not None and time.monotonic() >= deadline:
            raise StillWaiting(
                f"{', '.join(missing)} had not queued a training of {model.name} in time",
                value=f"waited {timeout:g} s",
                looked=", ".join(f"training_requests at {site}" for site in missing),
                fix="`dbt build` there, whose log says why nothing was queued; or a longer "
                "--timeout",
            )
        if missing != told:
            on_wait(missing)
            told = missing
        sleep(POLL_SECONDS)


def _missing(sites: Sequence[Site], model: str, now: datetime) -> tuple[str, ...]:
    found = {site.name: _queued(site, model, now) for site in sites}
    seeds = {one.spec.seed_brand for one in found.values() if one and one.spec.seed_brand}
    return tuple(
        name for name, one in found.items() if one is None and (not seeds or name in seeds)
    )


def _queued(site: Site, model: str, now: datetime) -> TrainingRequest | None:
    """Return what the brand has queued; None, too, while dbt holds its file."""
    try:
        with site.open() as warehouse:
            return waiting_request(warehouse, model, now=now)
    except WarehouseError as error:
        if "is locked" not in error.what:
            raise
        return None
