"""Where a run departs from the contract: the first difference, by name."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ContractError
from fed_audience.federation.private.recipe import by_the_recipe
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.federation.manifest import Manifest
    from fed_audience.gbdt.bins import Feature

BRAND_COLUMN: Final = "_fed_brand"
"""Column that says whose customer a row is, where brands are weighted or start apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the run asks, where the contract says something else. ``place``: a name, no value."""

    place: str
    asked: object
    signed: object


def first_difference(contract: Contract, manifest: Manifest) -> Difference | None:
    """Return the first place where ``manifest`` is not what ``contract`` allows, None without."""
    try:
        terms = contract.model(manifest.model_name)
    except ContractError as error:
        return Difference("model", manifest.model_name, error.limit)
    return next(_differences(contract, terms, manifest), None)


def require_signed(contract: Contract, manifest: Manifest) -> None:
    """Raise ContractError naming the first difference of ``manifest``."""
    found = first_difference(contract, manifest)
    if found is not None:
        raise ContractError(
            f"run {manifest.run_id} differs from the signed contract in {found.place}",
            value=found.asked,
            limit=found.signed,
            looked=f"contract {contract.sha256[:12]}",
            fix="run what was signed, or let every site sign the changed contract",
        )


def _differences(contract: Contract, terms: ModelTerms, manifest: Manifest) -> Iterator[Difference]:
    for place, asked, signed in (
        ("task", manifest.task, terms.task),
        ("label", manifest.label, terms.label.column),
        ("row_key", manifest.row_key, terms.entity),
        ("group_key", manifest.group_key, None),
        ("classes", manifest.classes, ()),
    ):
        if asked != signed:
            yield Difference(place, asked, signed)
    yield from _features(manifest.features, terms.manifest_features)
    yield from _sites(contract, terms, manifest)
    yield from _protection(contract, manifest)
    yield from _weights(terms, manifest)
    yield from _parameters(terms, manifest)


def _features(asked: tuple[Feature, ...], signed: tuple[Feature, ...]) -> Iterator[Difference]:
    wanted = {feature.name: feature for feature in asked}
    known = {feature.name: feature for feature in signed}
    for name in sorted(wanted.keys() | known.keys()):
        one, other = wanted.get(name), known.get(name)
        if one != other:
            yield Difference(f"features.{name}", _kind(one), _kind(other))
    if asked != signed:
        yield Difference("features", "another order", "sorted by name")


def _kind(feature: Feature | None) -> str:
    if feature is None:
        return "no such feature"
    return "category" if feature.categorical else "number"


def _sites(contract: Contract, terms: ModelTerms, manifest: Manifest) -> Iterator[Difference]:
    if strangers := sorted(set(manifest.sites) - set(terms.sites)):
        yield Difference("sites", ", ".join(strangers), ", ".join(terms.sites))
    if len(manifest.training_sites) < contract.minimum_sites:
        yield Difference("minimum_sites", len(manifest.training_sites), contract.minimum_sites)


def _protection(contract: Contract, manifest: Manifest) -> Iterator[Difference]:
    rules = contract.privacy
    if rules.secure and not manifest.secure:
        yield Difference("privacy.secure", "plain sums", "sums under masks")
    if beyond := sorted(set(manifest.overrides) - set(rules.overrides)):
        yield Difference("privacy.overrides", ", ".join(beyond), list(rules.overrides))
    spent = manifest.privacy
    if spent is None:
        if rules.epsilon is not None:
            yield Difference("privacy.epsilon", "a run without noise", rules.epsilon)
    elif rules.epsilon is None or spent.epsilon > rules.epsilon:
        yield Difference("privacy.epsilon", spent.epsilon, rules.epsilon)
    elif spent.delta > rules.delta:
        yield Difference("privacy.delta", spent.delta, rules.delta)


def _weights(terms: ModelTerms, manifest: Manifest) -> Iterator[Difference]:
    branded = bool(terms.site_weights) or terms.brand_base
    for place, asked, signed in (
        ("weight", manifest.weight, terms.weight),
        ("max_weight", manifest.max_weight, terms.max_weight),
        ("site_weights", dict(manifest.brand_weights), terms.site_weights),
        ("brand_base", manifest.brand_base, terms.brand_base),
        ("brand", manifest.brand, BRAND_COLUMN if branded else None),
    ):
        if asked != signed:
            yield Difference(place, asked, signed)
    if manifest.allow_missing_features and terms.missing_features == "refuse":
        yield Difference("missing_features", "accept", "refuse")


def _parameters(terms: ModelTerms, manifest: Manifest) -> Iterator[Difference]:
    asked, signed = manifest.parameters, terms.training_parameters
    if manifest.privacy is not None:
        # How often each feature has its turn costs no privacy: the operator may choose.
        features = len(manifest.features)
        passes = max(1, asked.n_estimators // features)
        recipe = by_the_recipe(signed, manifest.privacy.epsilon, features, passes)
        held_out = terms.holdout_fraction if manifest.privacy.evaluate else 0.0
        signed = replace(recipe, validation_fraction=held_out or recipe.validation_fraction)
    for field in fields(TrainingParameters):
        value, agreed = getattr(asked, field.name), getattr(signed, field.name)
        bounds = terms.bounds.get(field.name) if manifest.privacy is None else None
        if bounds is not None and not bounds[0] <= value <= bounds[1]:
            limit = f"{bounds[0]:g} to {bounds[1]:g}"
            yield Difference(f"parameters.{field.name}", value, limit)
        elif bounds is None and value != agreed:
            yield Difference(f"parameters.{field.name}", value, agreed)
