"""Whether a brand's training request and table are what the contract says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.errors import ContractError
from fed_audience.warehouse.feature_declarations import read_declarations
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from fed_audience.federation.contract.terms import FeatureTerms, ModelTerms
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest
    from fed_audience.warehouse.protocol import Relation, Warehouse

_TEXT: Final = ("CHAR", "TEXT", "STRING", "ENUM")


def check_request(
    site: Site, warehouse: Warehouse, terms: ModelTerms, request: TrainingRequest
) -> None:
    """Raise ContractError where a request or its table differs from what was signed.

    Compared are task, label and entity of the request; of each feature its type, what the dbt
    project declares of it, and that a category has no value outside the vocabulary.
    """
    spec = request.spec
    if spec.mode == "seed_brand":
        raise ContractError(
            f"{site.name}: a lookalike from one brand's seeds is trained in one process only",
            value=f"mode: {spec.mode}",
            limit="mode: seed_rule",
            looked=f"meta.fed_audience of {request.relation.name}",
            fix="let every brand label by one rule, or train it with `fed-audience train`",
        )
    for place, found, signed in (
        ("task", spec.task, terms.task),
        ("label", spec.label, terms.label.column),
        ("entity", spec.entity, terms.entity),
        ("cutoff", spec.cutoff, terms.cutoff.column),
    ):
        if found != signed:
            raise _mismatch(site, place, found, signed)
    columns = warehouse.columns(request.relation)
    declared = read_declarations(site.settings.project, request.relation.name)
    for feature in terms.features:
        if feature.name not in columns:
            if terms.missing_features == "refuse":
                raise _mismatch(site, f"feature {feature.name}", "no such column", feature.type)
            continue
        kind = kind_of(columns[feature.name])
        if kind != feature.type and _is_filled(warehouse, request.relation, feature.name):
            raise _mismatch(site, f"type of feature {feature.name}", kind, feature.type)
        said = declared.get(feature.name)
        for place in ("definition", "unit", "currency", "vocabulary"):
            own, agreed = getattr(said, place, None), getattr(feature, place)
            if own is not None and own != agreed:
                raise _mismatch(site, f"{place} of feature {feature.name}", own, agreed)
        _check_vocabulary(site, warehouse, request.relation, feature)


def kind_of(engine_type: str) -> str:
    """Say whether a column type of the engine is a number or a category."""
    return "category" if any(word in engine_type.upper() for word in _TEXT) else "number"


def _check_vocabulary(
    site: Site, warehouse: Warehouse, relation: Relation, feature: FeatureTerms
) -> None:
    if feature.vocabulary is None:
        return
    name = quoted(feature.name)
    marks = ", ".join("?" for _ in feature.vocabulary)
    found = warehouse.query(
        f"select count(*) as n from {relation.sql()}"
        f" where {name} is not null and {name} not in ({marks})",
        list(feature.vocabulary),
    )["n"][0].as_py()
    if found:
        known = ", ".join(feature.vocabulary)
        words = f"{found:,} rows with another value"
        raise _mismatch(site, f"vocabulary of feature {feature.name}", words, known)


def _is_filled(warehouse: Warehouse, relation: Relation, column: str) -> bool:
    counted = warehouse.query(f"select count({quoted(column)}) as n from {relation.sql()}")
    return bool(counted["n"][0].as_py())


def _mismatch(site: Site, place: str, found: object, signed: object) -> ContractError:
    return ContractError(
        f"{site.name}: {place} is not what the contract says",
        value=found,
        limit=signed,
        looked="its training table and dbt project",
        fix="correct the brand's dbt model, or let every site sign another contract",
    )
