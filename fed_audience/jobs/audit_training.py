"""What a training tells its audit log, from the manifest to its end."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from fed_audience.audit import entries as e
from fed_audience.audit.fields import SiteRows, band, canonical, figure
from fed_audience.federation.private.recipe import plan_of
from fed_audience.jobs.audit_rounds import RoundRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from fed_audience.audiences.lookalike import BrandDifference
    from fed_audience.audit.fields import ProcessingRecord
    from fed_audience.audit.log import AuditLog
    from fed_audience.federation import Envelope, Manifest, TrainingResult
    from fed_audience.federation.private.keeper import PrivacyKeeper
    from fed_audience.jobs.audit_trail import AuditTrail
    from fed_audience.jobs.settings import FederationSettings, ModelSettings


class TrainingAccount:
    """The account of one training. Nothing is written before ``begin``.

    ``on_message`` is handed every message too, after the account took it.
    Use as a context: leaving it ends the account, as succeeded, failed or interrupted.
    """

    def __init__(
        self,
        trail: AuditTrail,
        settings: FederationSettings,
        model: ModelSettings,
        on_message: Callable[[Envelope], None] | None = None,
    ) -> None:
        self._trail = trail
        self._settings = settings
        self._model = model
        self._listener = on_message
        self._begun: tuple[AuditLog, RoundRecorder] | None = None

    def begin(
        self, manifest: Manifest, rows: Mapping[str, int], withdrawn: Mapping[str, int]
    ) -> None:
        """Tell what the sites agreed on; raises AuditError where the run has a log already.

        ``rows`` and ``withdrawn``, by site, are told as bands, of a training without noise.
        """
        log = self._trail.begin(manifest.run_id, manifest.sites)
        tell_start(
            log,
            manifest,
            configuration_sha256=_configuration_sha256(self._settings),
            rows=[
                SiteRows(site=site, used=band(used), withdrawn=band(withdrawn[site]))
                for site, used in rows.items()
                if manifest.privacy is None
            ],
            record=self._settings.audit.record,
        )
        if self._model.override_small_change:
            self._override(log, "small_change", self._model.name, self._model.override_small_change)
        tell_promise(log, manifest)
        self._begun = log, RoundRecorder(log, self._trail.digest_key(manifest.run_id))

    def on_message(self, envelope: Envelope) -> None:
        """Take a message of the training's rounds, as it crosses a site's border."""
        self._account[1](envelope)
        if self._listener is not None:
            self._listener(envelope)

    def overridden(self, differences: Mapping[str, BrandDifference]) -> None:
        """Tell which brands were let pass although they differ too much."""
        log, rounds = self._account
        rounds.finish()
        for target, judged in differences.items():
            if judged.verdict == "overridden":
                self._override(
                    log, "brand_difference", target, self._model.override_brand_difference
                )

    def _override(self, log: AuditLog, rule: str, subject: str, reason: str | None) -> None:
        person = self._model.override_by
        log.append(e.Overridden, rule=rule, subject=subject, reason=reason, person=person)

    def trained(self, result: TrainingResult, keepers: Mapping[str, PrivacyKeeper]) -> None:
        """Tell why training stopped, what noisy training cost, and the model that came out."""
        log, rounds = self._account
        rounds.finish()
        for site, keeper in keepers.items():
            if keeper.book is None:
                continue
            balance = keeper.book.balance(keeper.data_set)
            if balance.limit is not None:
                log.append(
                    e.BudgetCharged,
                    site=site,
                    epsilon=figure(balance.epsilon or 0.0),
                    limit_epsilon=figure(balance.limit.epsilon),
                    delta=figure(balance.limit.delta),
                    book=keeper.book.head,
                )
        log.append(
            e.Decision,
            decision="stop_training",
            reason=result.stopped,
            trees_grown=result.trees_grown,
            trees_kept=result.best_iteration,
        )
        tell_model(log, self._model.name, result.sha256, result.encoder.to_json())

    def registered(self, site: str, model_sha256: str) -> None:
        """Tell which model ``site`` holds: the shared one, or that with trees of its own."""
        self._account[0].append(
            e.ModelRegistered, model=self._model.name, model_sha256=model_sha256, site=site
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._begun is None:
            return
        log, rounds = self._begun
        if kind is None:
            log.append(e.RunEnded, status="succeeded")
        elif not log.broken:
            rounds.finish()
            stopped = issubclass(kind, KeyboardInterrupt)
            log.append(
                e.RunEnded,
                status="interrupted" if stopped else "failed",
                error=None if stopped else kind.__name__,
            )

    @property
    def _account(self) -> tuple[AuditLog, RoundRecorder]:
        if self._begun is None:
            raise AssertionError("an account is begun before it is continued")
        return self._begun


def tell_start(
    log: AuditLog,
    manifest: Manifest,
    *,
    configuration_sha256: str,
    rows: Sequence[SiteRows],
    record: ProcessingRecord | None,
) -> None:
    """Tell what the sites agreed on; ``rows`` as far as who keeps the log knows them."""
    log.append(
        e.RunStarted,
        run=manifest.run_id,
        model=manifest.model_name,
        task=manifest.task,
        manifest_sha256=manifest.sha256,
        configuration_sha256=configuration_sha256,
        features_sha256=_sha256([asdict(feature) for feature in manifest.features]),
        sites=manifest.sites,
        label_sites=manifest.training_sites,
        rows=rows,
        secure=manifest.secure,
        overrides=manifest.overrides,
        record=record,
    )


def tell_promise(log: AuditLog, manifest: Manifest) -> None:
    """Tell what a training with noise promises; nothing of one without."""
    if manifest.privacy is not None:
        promised = plan_of(manifest)
        log.append(
            e.PrivacyPromised,
            epsilon=figure(promised.terms.epsilon),
            delta=figure(promised.terms.delta),
            mu=figure(promised.mu),
            colluders=promised.colluders,
        )


def tell_model(log: AuditLog, name: str, model_sha256: str, encoder: str) -> None:
    """Tell which model came out; ``encoder``: its JSON."""
    log.append(
        e.ModelTrained,
        model=name,
        version=model_sha256[:12],
        model_sha256=model_sha256,
        encoder_sha256=sha256(encoder.encode()).hexdigest(),
    )


def _configuration_sha256(settings: FederationSettings) -> str:
    """Hash what the federation was told to do, wherever its folders stand."""
    document = settings.model_dump(
        mode="json",
        exclude={
            "sites": {"__all__": {"project", "profiles"}},
            "audit": {"folder", "keys"},
            "roster": True,
        },
    )
    return _sha256(document)


def _sha256(document: Any) -> str:
    return sha256(canonical(document)).hexdigest()
