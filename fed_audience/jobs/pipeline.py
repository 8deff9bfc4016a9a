"""The whole job: build with dbt, train, score, cut audiences, deliver them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from fed_audience.consent.funnel import Funnel, funnel
from fed_audience.consent.statement import ConsentRelations
from fed_audience.errors import RunInterrupted
from fed_audience.jobs.audience import SiteAudience, build_audience
from fed_audience.jobs.egress import EgressTally
from fed_audience.jobs.quality import BrandQuality, measure
from fed_audience.jobs.score import SiteScores, score_model
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.sync import SiteReport, sync_audience, targets_of
from fed_audience.jobs.train import TrainedModel, train_if_changed, train_model
from fed_audience.jobs.unchanged import Unchanged
from fed_audience.warehouse.dbt import end_running_dbt, run_dbt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from pydantic import SecretStr

    from fed_audience.federation import Envelope, TrainingEvent
    from fed_audience.jobs.settings import FederationSettings, SiteSettings

    Clock: TypeAlias = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Secrets:
    """The two secrets of a federation run: one the brands share, one each keeps."""

    category_key: SecretStr
    state_key: SecretStr

    @property
    def category(self) -> bytes:
        """Key under which the brands hash categories."""
        return self.category_key.get_secret_value().encode()

    @property
    def ties(self) -> bytes:
        """Key of the hash that orders people with equal scores."""
        return self.state_key.get_secret_value().encode()


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what: a line for each step, training events, every byte across a border."""

    on_step: Callable[[str], None] = field(default=lambda _: None)
    on_training: Callable[[str, TrainingEvent], None] = field(default=lambda _name, _event: None)
    on_message: Callable[[Envelope], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class PipelineOutcome:
    """What one run of the pipeline did, by model and by audience.

    ``unchanged``: models that were not trained, as the same would have come out.
    """

    settings: FederationSettings
    as_of: datetime
    funnels: Mapping[str, Funnel]
    trained: Mapping[str, TrainedModel]
    egress: Mapping[str, EgressTally]
    quality: Mapping[str, tuple[BrandQuality, ...]]
    scored: Mapping[str, tuple[SiteScores, ...]]
    audiences: Mapping[str, tuple[SiteAudience, ...]]
    syncs: tuple[SiteReport, ...]
    unchanged: Mapping[str, Unchanged] = field(default_factory=dict)


def run_pipeline(
    settings: FederationSettings,
    *,
    base: Path,
    as_of: datetime,
    secrets: Secrets,
    listeners: Listeners,
    clock: Clock | None = None,
    deliver: bool = True,
    retrain: bool = True,
) -> PipelineOutcome:
    """Train and score every model of ``settings``, then build and deliver every audience.

    The brands' dbt projects must be built (``build_brands``). Each step asks consent as of
    ``clock()`` (naive UTC) when it begins, deliveries before each batch; without a clock as of
    ``as_of`` throughout, for data of another day. ``deliver`` False stops before
    anything is sent; ``retrain`` False leaves models alone that would come out the same. Raises
    whatever a step raises; finished steps stay finished. Sites and destinations that cannot be
    used are met before the first step.
    """
    check_settings(settings, base=base, deliver=deliver)
    now = clock or (lambda: as_of)
    trained, egress, unchanged = train_models(
        settings, clock=now, secrets=secrets, listeners=listeners, retrain=retrain
    )
    listeners.on_step("compare each brand alone with the federation")
    quality = {
        name: tuple(_measured(settings, model, site, secrets) for site in model.held_out)
        for name, model in trained.items()
        if model.lookalike is None or model.lookalike.mode == "seed_rule"
    }
    scored = {}
    for model in settings.models:
        listeners.on_step(f"score {model.name} at each brand")
        scored[model.name] = tuple(
            score_model(settings, model, as_of=now(), category_key=secrets.category)
        )
    audiences = {}
    for audience in settings.audiences:
        listeners.on_step(f"choose audience {audience.name}")
        audiences[audience.name] = build_audience(settings, audience, as_of=now(), key=secrets.ties)
    syncs: tuple[SiteReport, ...] = ()
    if deliver:
        listeners.on_step("deliver, asking consent before each batch")
        syncs = deliver_all(settings, base=base, clock=now, secrets=secrets)
    return PipelineOutcome(
        settings=settings,
        as_of=as_of,
        funnels=consent_funnels(settings, now()),
        trained=trained,
        egress=egress,
        quality=quality,
        scored=scored,
        audiences=audiences,
        syncs=syncs,
        unchanged=unchanged,
    )


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """What was done with models that others trained: the audiences cut, and what was sent."""

    audiences: tuple[SiteAudience, ...]
    syncs: tuple[SiteReport, ...]


def use_models(
    settings: FederationSettings,
    *,
    base: Path,
    clock: Clock,
    secrets: Secrets,
    on_step: Callable[[str], None],
    score: bool = True,
    deliver: bool = True,
) -> ModelUsed:
    """Score with the models that the sites hold, then build and deliver every audience.

    Each step asks consent as of ``clock()`` (naive UTC) when it begins, deliveries before each
    batch. ``score`` False where their agents have scored already.
    """
    for model in settings.models if score else ():
        on_step(f"score {model.name}")
        list(score_model(settings, model, as_of=clock(), category_key=secrets.category))
    audiences: list[SiteAudience] = []
    for audience in settings.audiences:
        on_step(f"choose audience {audience.name}")
        audiences += build_audience(settings, audience, as_of=clock(), key=secrets.ties)
    if not deliver or not settings.audiences:
        return ModelUsed(tuple(audiences), ())
    on_step("deliver, asking consent before each batch")
    syncs = deliver_all(settings, base=base, clock=clock, secrets=secrets)
    return ModelUsed(tuple(audiences), syncs)


def check_settings(settings: FederationSettings, *, base: Path, deliver: bool = True) -> None:
    """Resolve every site and, with ``deliver``, every destination; nothing is begun.

    Raises ConfigError or DestinationError: better now than after hours of work.
    """
    for site in settings.sites:
        site_of(site)
    for audience in settings.audiences if deliver else ():
        targets_of(settings, audience, base=base)


def build_brands(
    settings: FederationSettings,
    *,
    as_of: datetime,
    live: bool = False,
    select: str | None = None,
    build: Callable[[SiteSettings], None] | None = None,
) -> None:
    """Run `dbt deps` and `dbt build` in every brand's project, two brands at a time.

    Tables are built as of ``as_of``; so are views, for data of another day, unless ``live``: then
    they ask for consent as of the moment of reading. ``select``: build only what that audience
    model trains on and what is scored. ``build`` replaces the two commands for one brand. Raises
    DbtError naming the node, and RunInterrupted on Ctrl-C, after every dbt has ended.
    """

    def build_one(site: SiteSettings) -> None:
        dbt = partial(run_dbt, site.project, profiles_dir=site.profiles, target=site.target)
        if not (site.project / "dbt_packages").is_dir():
            dbt(["deps"])
        chosen = [] if select is None else ["--select", *_needed_by(select)]
        instant = {"fed_audience__as_of": f"{as_of:%Y-%m-%d %H:%M:%S}"}
        dbt(["build", *chosen], vars=instant | ({"fed_audience__live_views": True} if live else {}))

    with ThreadPoolExecutor(2, "dbt") as pool:
        building = [pool.submit(build or build_one, site) for site in settings.sites]
        try:
            for one in building:
                one.result()
        except KeyboardInterrupt:
            # Only this thread hears of Ctrl-C. A brand between two commands starts the second.
            while wait([one for one in building if not one.cancel()], timeout=0.2).not_done:
                end_running_dbt()
            raise RunInterrupted("stopped while dbt was running; dbt was ended with it") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _needed_by(model: str) -> tuple[str, ...]:
    """Return dbt's names of what training and scoring ``model`` read, with all that those need."""
    return f"+config.meta.fed_audience.model:{model}", "+tag:fed_prepare", "+tag:fed_score"


def train_models(
    settings: FederationSettings,
    *,
    clock: Clock,
    secrets: Secrets,
    listeners: Listeners,
    retrain: bool = True,
) -> tuple[dict[str, TrainedModel], dict[str, EgressTally], dict[str, Unchanged]]:
    """Train every model of ``settings``, consent as of ``clock()`` when each begins.

    Also returns what left the sites for each. Last come the models that were not trained, of which
    there are none with ``retrain``.
    """
    trained, tallies, unchanged = {}, {}, {}
    for model in settings.models:
        listeners.on_step(f"train {model.name}")
        tally = EgressTally()

        def seen(envelope: Envelope, tally: EgressTally = tally) -> None:
            tally(envelope)
            listeners.on_message(envelope)

        def told(event: TrainingEvent, name: str = model.name) -> None:
            listeners.on_training(name, event)

        train = train_model if retrain else train_if_changed
        made = train(
            settings,
            model,
            as_of=clock(),
            category_key=secrets.category,
            on_event=told,
            on_message=seen,
        )
        if isinstance(made, Unchanged):
            unchanged[model.name] = made
        else:
            trained[model.name], tallies[model.name] = made, tally
    return trained, tallies, unchanged


def deliver_all(
    settings: FederationSettings, *, base: Path, clock: Clock, secrets: Secrets
) -> tuple[SiteReport, ...]:
    """Sync every audience that has destinations; consent before each batch as of ``clock()``."""
    return tuple(
        report
        for audience in settings.audiences
        for report in sync_audience(
            settings, audience, base=base, as_of=clock(), secret=secrets.state_key, clock=clock
        )
    )


def consent_funnels(settings: FederationSettings, as_of: datetime) -> dict[str, Funnel]:
    """Count each brand's people by purpose."""
    found = {}
    for site_settings in settings.sites:
        site = site_of(site_settings)
        with site.open() as warehouse:
            relations = ConsentRelations.of_schema(site.profile.schema_)
            channels = sorted({audience.channel for audience in settings.audiences})
            found[site.name] = funnel(warehouse, as_of, relations=relations, channels=channels)
    return found


def _measured(
    settings: FederationSettings, model: TrainedModel, site: str, secrets: Secrets
) -> BrandQuality:
    own = settings.model(model.name).training_parameters(model.spec.task)
    return measure(
        site,
        model.training[site],
        model.held_out[site],
        model.result,
        # A brand alone needs no noise, nor the recipe that goes with it.
        replace(model.manifest, parameters=own, privacy=None, public=()),
        secrets.category,
        model.own.get(site),
    )
