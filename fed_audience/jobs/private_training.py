"""What a training with noise needs besides: public values, the recipe, and each brand's budget."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Self

from fed_audience.errors import ConfigError
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.private.recipe import NOT_OF_THE_RECIPE, by_the_recipe
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.jobs.members import Members
from fed_audience.jobs.privacy_settings import PublicFeature
from fed_audience.privacy.budget import BudgetBook
from fed_audience.privacy.dp.releases import StoredReleases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fed_audience.federation import Manifest
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.federation.manifest import Task
    from fed_audience.federation.private.public_values import PublicValues
    from fed_audience.gbdt.bins import Feature
    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.privacy.dp.plan import PrivacyTerms


@dataclass(frozen=True, slots=True)
class PrivateTraining:
    """What the brands agree on for a training with noise, beside what any training has."""

    terms: PrivacyTerms
    public: tuple[PublicValues, ...]
    parameters: TrainingParameters
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        settings: FederationSettings,
        model: ModelSettings,
        features: Sequence[Feature],
        contract: Contract | None = None,
        *,
        task: Task,
        mode: str | None = None,
    ) -> Self | None:
        """Return what ``model``'s settings ask for; None without privacy.

        ``task``: what is learnt; ``mode``: of a lookalike. Categories that the brands signed as a
        feature's vocabulary are public. Raises ConfigError for a feature without public values, and
        for what cannot be private.
        """
        if model.privacy is None:
            return None
        _refuse_what_looks_again(model, mode)
        asked = model.training_parameters(task)
        parameters = by_the_recipe(
            asked, model.privacy.epsilon, len(features), model.privacy.passes
        )
        held_out = model.holdout_fraction
        return cls(
            replace(model.privacy.terms, evaluate=held_out > 0),
            _public_values(_declared(settings, model, contract), features),
            replace(parameters, validation_fraction=held_out),
            _set_aside(asked),
        )


def keeper_of(settings: FederationSettings, site: str) -> PrivacyKeeper:
    """Return what ``site`` keeps over its noisy runs: its budget, under its name, and releases."""
    return PrivacyKeeper(
        BudgetBook(settings.budget_book),
        data_set=site,
        releases=StoredReleases(Members(settings).releases(site)),
    )


def keepers_of(settings: FederationSettings, manifest: Manifest) -> dict[str, PrivacyKeeper]:
    """Return the keeper of every site of ``manifest``'s run; {} for one that is not private.

    Raises BudgetError where one's budget does not suffice, before any of them is charged.
    """
    if manifest.privacy is None:
        return {}
    found = {site: keeper_of(settings, site) for site in manifest.training_sites}
    for keeper in found.values():
        keeper.require_room(manifest)
    return found


def _refuse_what_looks_again(model: ModelSettings, mode: str | None) -> None:
    """Raise ConfigError for a setting that would show more of the rows than the noisy sums do."""
    for asked, what, fix in (
        (mode == "seed_brand", "a lookalike from one brand's seeds", "use mode: seed_rule"),
        (model.weight is not None, "weight", "let every row weigh 1"),
        (bool(model.site_weights), "site_weights", "let every brand weigh 1"),
        (model.brand_base, "brand_base", "leave it out: its base scores have no noise"),
        (model.continuation, "continuation", "leave it out: trees at home look at the rows again"),
        (model.bisect, "bisect", "leave it out: every group would be a run, and charged as one"),
    ):
        if asked:
            raise ConfigError(
                f"privacy does not go with {what}",
                looked=f"model {model.name} in federation.yml",
                fix=fix,
            )


def _declared(
    settings: FederationSettings, model: ModelSettings, contract: Contract | None
) -> dict[str, PublicFeature]:
    signed = () if contract is None else contract.model(model.name).features
    vocabularies = {
        one.name: PublicFeature(categories=one.vocabulary) for one in signed if one.vocabulary
    }
    return vocabularies | settings.public_values


def _public_values(
    declared: Mapping[str, PublicFeature], features: Sequence[Feature]
) -> tuple[PublicValues, ...]:
    missing = [feature for feature in features if feature.name not in declared]
    if missing:
        first = missing[0]
        kind = "categories: [a, b]" if first.categorical else "low: 0, high: 100"
        near = get_close_matches(first.name, sorted(declared), n=1, cutoff=0.8)
        typed = f"; did you mean it by '{near[0]}'?" if near else ""
        raise ConfigError(
            "features have no public range or categories, and reading these off the rows would "
            "give rows away",
            value=", ".join(feature.name for feature in missing),
            looked="public_values in federation.yml",
            fix=f"declare what each can be from what everybody knows, as `{first.name}: "
            f"{{{kind}}}`, or list it in exclude_features of the dbt models{typed}",
        )
    return tuple(declared[feature.name].values_of(feature.name) for feature in features)


def _set_aside(asked: TrainingParameters) -> tuple[str, ...]:
    usual = TrainingParameters()
    changed = [
        field.name
        for field in fields(asked)
        if field.name not in NOT_OF_THE_RECIPE
        and getattr(asked, field.name) != getattr(usual, field.name)
    ]
    if not changed:
        return ()
    names = ", ".join(changed)
    return (f"privacy has a recipe of its own: {names} of federation.yml are not used",)
