"""Train one audience model over the brands of a federation, in this process."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from fed_audience.federation import (
    ArrowSource,
    InProcessTransport,
    Manifest,
    SiteProgram,
    TrainingResult,
)
from fed_audience.federation.contract.checks import require_signed
from fed_audience.federation.manifest import overrides_for
from fed_audience.federation.rounds.bisecting import train_or_bisect
from fed_audience.gbdt.models.model import to_text
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.audit_training import TrainingAccount
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.lookalike import (
    brand_differences,
    seed_warnings,
)
from fed_audience.jobs.members import Members
from fed_audience.jobs.own_copies import BRAND, own_copies, with_brand
from fed_audience.jobs.participants import (
    Claims,
    Participant,
    check_rows,
)
from fed_audience.jobs.private_training import PrivateTraining, keepers_of
from fed_audience.jobs.registration import register
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.training_cohort import Cohort, assemble
from fed_audience.jobs.unchanged import Unchanged, compare, inputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.audiences.lookalike import BrandDifference, CommonFeatures, LookalikeSettings
    from fed_audience.federation import Envelope, TrainingEvent
    from fed_audience.gbdt.models.model import Model
    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.warehouse.manifest import ModelSpec

_THREADS: Final = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model that every brand now holds, and what is known of its training.

    ``training`` and ``held_out`` are the rows of each brand that has labels; they are still at
    home: this process runs all the sites. ``seconds`` are binning and training. ``own``: copies of
    the model for brands that added trees of their own; ``notes`` tell of them. ``why``: what is not
    as in the training before.
    """

    name: str
    version: str
    spec: ModelSpec
    manifest: Manifest
    result: TrainingResult
    participants: tuple[Participant, ...]
    training: Mapping[str, pa.Table]
    held_out: Mapping[str, pa.Table]
    seconds: float
    lookalike: LookalikeSettings | None = None
    common: CommonFeatures | None = None
    differences: Mapping[str, BrandDifference] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    own: Mapping[str, Model] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    def text_for(self, site: str) -> str:
        """Return the model as ``site`` holds it."""
        return to_text(self.own[site]) if site in self.own else self.result.model_text


def train_model(
    settings: FederationSettings,
    model: ModelSettings,
    *,
    as_of: datetime,
    category_key: bytes,
    on_event: Callable[[TrainingEvent], None] | None = None,
    on_message: Callable[[Envelope], None] | None = None,
) -> TrainedModel:
    """Claim the brands' requests for ``model``, train it, and register it at each brand.

    It is trained even where nothing has changed: ``train_if_changed`` spares that.
    Consent is asked again as of ``as_of`` (naive UTC); whoever withdrew since the build is left
    out. ``on_message`` sees every byte that crosses a site's border, and the run's audit log tells
    each round. When the rounds break the
    requests end as failed, saying why; after Ctrl-C, and after an error that the user mends
    (configuration, data, a locked warehouse), they are pending again.
    """
    trained = _claimed(settings, model, as_of, category_key, on_event, on_message, retrain=True)
    assert isinstance(trained, TrainedModel)  # noqa: S101 - it was not to be spared
    return trained


def train_if_changed(
    settings: FederationSettings,
    model: ModelSettings,
    *,
    as_of: datetime,
    category_key: bytes,
    on_event: Callable[[TrainingEvent], None] | None = None,
    on_message: Callable[[Envelope], None] | None = None,
) -> TrainedModel | Unchanged:
    """Train ``model`` as ``train_model`` does, unless the same model would come out.

    Then the requests end as 'unchanged', no message is exchanged and no privacy is spent. What is
    compared: the consented rows of every brand, the spec, the model's settings, the contract.
    """
    return _claimed(settings, model, as_of, category_key, on_event, on_message, retrain=False)


def _claimed(
    settings: FederationSettings,
    model: ModelSettings,
    as_of: datetime,
    category_key: bytes,
    on_event: Callable[[TrainingEvent], None] | None,
    on_message: Callable[[Envelope], None] | None,
    *,
    retrain: bool,
) -> TrainedModel | Unchanged:
    sites = [site_of(site) for site in settings.sites_of(model.sites)]
    run_id = f"{model.name}-{as_of:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"
    contract = Contracts(settings).require(site.name for site in sites)
    members = Members(settings)
    members.open(dict.fromkeys(site.name for site in sites))
    claims = Claims(sites, model.name, as_of)
    with claims.settled(), AuditTrail(settings) as trail:
        cohort = assemble(settings, model, contract, sites, claims, as_of)
        inputs = inputs_of(settings, model, cohort, category_key)
        found = compare(model.name, sites, inputs)
        if found.unchanged is not None and not retrain:
            claims.spare(str(found.unchanged))
            return found.unchanged
        with TrainingAccount(trail, settings, model, on_message) as account:
            trained = _train(
                settings, model, cohort, members, run_id, category_key, on_event, account
            )
            register(trained, run_id, as_of, account, inputs)
            claims.succeed()
    return replace(trained, why=found.changes)


def _train(
    settings: FederationSettings,
    model: ModelSettings,
    cohort: Cohort,
    members: Members,
    run_id: str,
    category_key: bytes,
    on_event: Callable[[TrainingEvent], None] | None,
    account: TrainingAccount,
) -> TrainedModel:
    spec, rules = cohort.spec, cohort.lookalike
    private = PrivateTraining.of(
        settings, model, cohort.features, cohort.contract, task=spec.task, mode=spec.mode
    )
    parameters = private.parameters if private else model.training_parameters(spec.task)
    labelled = [one for one in cohort.participants if one.request is not None]
    parts = {
        one.site.name: one.rows.split(
            spec.entity,
            model.holdout_fraction,
            parameters.seed,
            by_the_site=private is not None,
        )
        for one in labelled
    }
    training = {name: part[0] for name, part in parts.items()}
    everything = {one.site.name: one.rows.table for one in cohort.participants}
    check_rows(cohort.participants, everything | training, settings.minimum_rows)
    # The rows kept aside are counted with noise by the sites themselves, if they are at all.
    tables = everything if private is not None else everything | training
    names = tuple(one.site.name for one in cohort.participants)
    branded = bool(model.site_weights) or model.brand_base
    if branded:
        tables = {name: with_brand(table, name) for name, table in tables.items()}
    builds = {one.site.name: one.build for one in cohort.participants}
    with_labels = (rules.seed_brand,) if rules is not None and rules.seed_brand else None
    overrides = set(overrides_for(names, with_labels or names))
    if model.override_small_change:
        overrides.add("small_change")
    elif "small_change" not in overrides and private is None:
        members.check_cohort(builds, with_labels or names)
    manifest = Manifest(
        run_id=run_id,
        model_name=model.name,
        task=spec.task,
        features=cohort.features,
        label=spec.label,
        row_key=spec.entity,
        sites=names,
        label_sites=with_labels,
        overrides=tuple(sorted(overrides)),
        allow_missing_features=model.missing_features == "accept" and private is None,
        weight=model.weight,
        max_weight=model.max_weight,
        brand=BRAND if branded else None,
        brand_weights=tuple(model.site_weights.items()),
        brand_base=model.brand_base,
        privacy=None if private is None else private.terms,
        public=() if private is None else private.public,
        parameters=parameters,
    )
    if cohort.contract is not None:
        require_signed(cohort.contract, manifest)
    if private is not None:
        private.terms.require_delta_below(sum(tables[name].num_rows for name in names))
    keepers = keepers_of(settings, manifest)
    withdrawn = {one.site.name: one.rows.withdrawn for one in cohort.participants}
    account.begin(manifest, {name: tables[name].num_rows for name in names}, withdrawn)
    warnings = () if private is None else private.warnings
    differences: dict[str, BrandDifference] = {}
    if rules is not None:
        counted = seed_warnings(training, spec.label, rules)
        # How many seeds a brand has is no secret of a run without noise.
        warnings += counted if private is None else ()
        differences = brand_differences(tables, rules, manifest, category_key, account.on_message)
        account.overridden(differences)
        warnings += tuple(
            judged.message(target)
            for target, judged in differences.items()
            if judged.verdict != "ok"
        )
    secure = members.open(builds)
    programs = {
        name: SiteProgram(
            name,
            ArrowSource(tables[name]),
            category_key,
            min_rows=settings.minimum_rows,
            secure=secure[name],
            threads=_THREADS,
            contract=cohort.contract,
            keeper=keepers.get(name),
        )
        for name in names
    }
    transport = InProcessTransport(programs, account.on_message)
    began = time.perf_counter()
    result = train_or_bisect(
        transport, manifest, bisecting=model.bisect, on_event=on_event, threads=_THREADS
    )
    seconds = time.perf_counter() - began
    account.trained(result, keepers)
    own, notes = own_copies(programs, manifest, result, model)
    return TrainedModel(
        name=model.name,
        version=result.sha256[:12],
        spec=spec,
        manifest=manifest,
        result=result,
        participants=cohort.participants,
        training=training,
        held_out={name: part[1] for name, part in parts.items()},
        seconds=seconds,
        lookalike=rules,
        common=cohort.common,
        differences=differences,
        warnings=(*warnings, *result.warnings),
        own=own,
        notes=notes,
    )
