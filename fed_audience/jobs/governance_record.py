"""The governance record: which data takes part, with whom, how outputs are used, on what basis."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience import __version__
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.sites import site_of
from fed_audience.jobs.warehouse_facts import SiteFacts, facts_of
from fed_audience.report.governance import GovernanceRecord, Section, Table
from fed_audience.warehouse.declared_uses import DeclaredUses, read_declared_uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one brand: what its project declares, what its warehouse holds."""

    uses: DeclaredUses
    facts: SiteFacts


def governance_record(settings: FederationSettings, now: datetime) -> GovernanceRecord:
    """Write down what the brands of this file declare and what was done; ``now`` naive UTC.

    People and rows are counted in bands. Raises DbtError for a project that dbt has not parsed,
    and what a warehouse raises that cannot be read.
    """
    known = {}
    for one in settings.sites:
        site = site_of(one)
        uses = read_declared_uses(one.project)
        trained = [training.relation for training in uses.trainings]
        known[site.name] = _Known(uses, facts_of(site, now, trained))
    return GovernanceRecord(
        title=f"{settings.name.replace('_', ' ')}: data, partners and uses",
        stamp=f"As of {now:%Y-%m-%d %H:%M} UTC, written by fed-audience {__version__}. "
        "Rows and people are counted in bands.",
        sections=(
            _processing(settings),
            _partners(settings, known),
            _models(settings, known),
            _data(known),
            _basis(known),
            _runs(known),
            _uses(settings, known),
            _deliveries(known),
            _withdrawals(settings, known),
        ),
    )


def _processing(settings: FederationSettings) -> Section:
    record = settings.audit.record
    if record is None:
        return Section(
            "Processing",
            "Nobody has declared it: audit.record in federation.yml says purpose, legal basis, "
            "controllers, data subjects, recipients and retention (Art. 30 GDPR).",
        )
    rows = [
        (name.replace("_", " "), value if isinstance(value, str) else ", ".join(value))
        for name, value in record.model_dump(mode="json").items()
        if value
    ]
    return Section(
        "Processing",
        "As the federation declares it under Art. 30 GDPR.",
        (Table("Declaration", ("what", "declared"), tuple(rows)),),
    )


def _partners(settings: FederationSettings, known: Mapping[str, _Known]) -> Section:
    signed = Contracts(settings).held()
    if signed is None:
        text = "There is no contract: the brands are those of federation.yml."
        roster: Iterable[str] = known
    else:
        text = f"They sign one contract, SHA-256 {signed.contract.sha256}."
        roster = signed.contract.roster
    named: dict[str, set[str]] = defaultdict(set)
    for site, one in known.items():
        for training in one.uses.trainings:
            for partner in training.spec.partners:
                named[partner].add(site)
    rows = []
    for site in sorted({*roster, *known, *named}):
        if signed is None:
            state = "no contract"
        elif site not in signed.contract.roster:
            state = "not in the contract"
        else:
            state = "signed" if signed.is_signed_by(site) else "not signed"
        rows.append((site, state, ", ".join(sorted(named[site] - {site}))))
    return Section(
        "Partners",
        text,
        (Table("Who takes part", ("brand", "contract", "partner of"), tuple(rows)),),
    )


def _models(settings: FederationSettings, known: Mapping[str, _Known]) -> Section:
    rows = []
    for site, one in known.items():
        for training in one.uses.trainings:
            spec = training.spec
            rows.append(
                (
                    spec.model,
                    spec.task,
                    site,
                    training.name,
                    ", ".join(spec.partners),
                    f"{spec.purpose} and share_model",
                    spec.label,
                    f"{spec.cadence_days} days" if spec.cadence_days else "each build",
                    " ".join(training.description.split()),
                )
            )
    noisy = [
        f"{model.name} with epsilon {model.privacy.epsilon:g}"
        for model in settings.models
        if model.privacy is not None and model.privacy.epsilon is not None
    ]
    text = (
        "Trees are grown from sums over all brands; no row leaves one. A row trains only while its "
        "person allows both train and share_model."
    )
    if noisy:
        text += f" Trained with noise: {', '.join(noisy)}."
    header = (
        "model", "task", "brand", "training table", "partners", "purposes", "label",
        "at most every", "meaning",
    )  # fmt: skip
    return Section("Models", text, (Table("Training tables", header, tuple(sorted(rows))),))


def _data(known: Mapping[str, _Known]) -> Section:
    told: dict[str, str] = {}
    used: dict[str, set[str]] = defaultdict(set)
    where: dict[str, set[str]] = defaultdict(set)
    for site, one in known.items():
        for training in one.uses.trainings:
            documented = dict(training.columns)
            built = one.facts.columns.get(training.relation, tuple(documented))
            for name in built:
                if not name.startswith("_fed_") and name not in training.spec.exclude_features:
                    told[name] = told.get(name) or documented.get(name, "")
                    used[name].add(training.spec.model)
                    where[name].add(site)
    rows = tuple(
        (name, told[name], ", ".join(sorted(used[name])), ", ".join(sorted(where[name])))
        for name in sorted(told)
    )
    return Section(
        "Data",
        "Columns of the training tables as they are built, with what the brands' dbt projects say "
        "of them.",
        (Table("Columns", ("column", "meaning", "models", "brands"), rows),),
    )


def _basis(known: Mapping[str, _Known]) -> Section:
    rows = [(site, *row) for site, one in known.items() for row in one.facts.consent]
    return Section(
        "Legal basis",
        "People who allow each purpose now, by the source of the event that decides and the basis "
        "that it states.",
        (Table("Consent", ("brand", "purpose", "source", "legal basis", "people"), tuple(rows)),),
    )


def _runs(known: Mapping[str, _Known]) -> Section:
    runs = [(site, *row) for site, one in known.items() for row in one.facts.runs]
    models = [(site, *row) for site, one in known.items() for row in one.facts.models]
    header = ("brand", "finished", "model", "status", "run", "partners", "rows", "withdrawn before")
    return Section(
        "Runs",
        "The last trainings at each brand, and the models in use.",
        (
            Table("Trainings", header, tuple(runs)),
            Table("Models in use", ("brand", "model", "version", "trained", "run"), tuple(models)),
        ),
    )


def _uses(settings: FederationSettings, known: Mapping[str, _Known]) -> Section:
    audiences = tuple(
        (
            one.name,
            one.model,
            one.purpose,
            f"{one.share:.0%}",
            ", ".join(one.destinations),
            ", ".join(one.sites or known),
        )
        for one in settings.audiences
    )
    exposures = tuple(
        (
            site,
            exposure.name,
            exposure.owner,
            ", ".join(exposure.reads),
            exposure.model,
            exposure.purpose,
            exposure.legal_basis,
            exposure.destination,
            exposure.description,
        )
        for site, one in known.items()
        for exposure in one.uses.exposures
    )
    header = (
        "brand", "exposure", "owner", "reads", "model", "purpose", "legal basis", "destination",
        "use",
    )  # fmt: skip
    return Section(
        "Uses",
        "Audiences are cut from scores at home. Consent is asked again before each batch is sent.",
        (
            Table(
                "Audiences",
                ("audience", "model", "purpose", "reach", "destinations", "brands"),
                audiences,
            ),
            Table("Exposures", header, exposures),
        ),
    )


def _deliveries(known: Mapping[str, _Known]) -> Section:
    rows = [(site, *row) for site, one in known.items() for row in one.facts.deliveries]
    header = ("brand", "audience", "destination", "purpose", "connector", "last", "status", "syncs")
    return Section(
        "Deliveries",
        "What went to which destination; each person's consent was asked at that moment.",
        (Table("Syncs", header, tuple(rows)),),
    )


def _withdrawals(settings: FederationSettings, known: Mapping[str, _Known]) -> Section:
    policy = settings.withdrawal
    late = "scores nobody" if policy.overdue == "refuse" else "is warned of"
    rows = [(site, one.facts.erased) for site, one in known.items() if one.facts.erased]
    return Section(
        "Withdrawals",
        "Whoever withdraws is removed by the next sync and left out of the next training. A model "
        f"with them is trained again within {policy.retrain_within_days} days; one that is overdue "
        f"{late}. A ledger that is older than {settings.max_consent_age_hours:g} hours stops every "
        "training, scoring and sync.",
        (Table("Erased", ("brand", "people"), tuple(rows)),),
    )
