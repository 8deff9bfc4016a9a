"""The contract of a federation: what every site signs before it takes part in a run."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from difflib import get_close_matches
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError, ContractError
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.run_keys import Override
from fed_audience.privacy.statements import statement

CONTRACT_VERSION: Final = 1
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Report = Literal["software", "rows", "schema", "summaries", "reasons"]
"""What a site may tell the coordinator of itself, beside the rounds of a run.

``software``: its version. ``rows``: its training rows, as a band. ``schema``: which features its
table has, and of which type. ``summaries``: of each feature the share of filled values, how far it
moved since the last training, and its median to one digit. ``reasons``: why it failed, in words.
"""


class FeatureTerms(StrictModel):
    """One feature as all brands mean it.

    ``definition``: what is counted, over which time. ``unit``: of a number; ``currency``: its
    three letters (ISO 4217). ``vocabulary``: every value that a category may have.
    """

    name: Column
    definition: Text
    type: Literal["number", "category"] = "number"
    unit: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    vocabulary: tuple[Text, ...] | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category" and (self.unit or self.currency):
            message = f"feature {self.name} is a category, which has no unit and no currency"
            raise ValueError(message)
        if self.type == "number" and self.vocabulary is not None:
            message = f"feature {self.name} is a number, which has no vocabulary"
            raise ValueError(message)
        if self.vocabulary is not None and len(set(self.vocabulary)) != len(self.vocabulary):
            message = f"the vocabulary of feature {self.name} names a value twice"
            raise ValueError(message)
        return self


class LabelTerms(StrictModel):
    """What is predicted. ``horizon_days``: the window after the cutoff that it looks at."""

    column: Column = "label"
    definition: Text
    horizon_days: Annotated[int, Field(ge=1, le=3_660)]


class CutoffTerms(StrictModel):
    """The instant that features lie before and the label after."""

    column: Column = "cutoff_at"
    definition: Text = "features use what happened strictly before it, the label what came after"


class ModelDeclaration(StrictModel):
    """What the brands agree to mean by an audience model: `terms` of a model in federation.yml.

    ``bounds``: parameters that the operator may choose within, without a new signature.
    ``quorum``: brands whose request starts a run, all of them without it. ``every_days``: when a
    run is due whose quorum is only the contract's minimum of sites.
    """

    task: Literal["propensity", "lookalike", "demand"] = "propensity"
    entity: Column = "customer_id"
    label: LabelTerms
    cutoff: CutoffTerms = CutoffTerms()
    features: Annotated[tuple[FeatureTerms, ...], Field(min_length=1)]
    bounds: dict[str, tuple[float, float]] = Field(default_factory=dict)
    quorum: Annotated[int, Field(ge=1)] | None = None
    every_days: Annotated[int, Field(ge=1, le=366)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            message = f"features are declared twice: {', '.join(twice)}"
            raise ValueError(message)
        for column in (self.entity, self.label.column, self.cutoff.column):
            if column in names:
                message = f"column {column} has a role of its own and cannot be a feature"
                raise ValueError(message)
        known = {field.name: field.default for field in fields(TrainingParameters)}
        for name, (low, high) in self.bounds.items():
            if name not in known or not isinstance(known[name], int | float):
                near = get_close_matches(name, list(known), n=1, cutoff=0.4)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                message = f"bounds name '{name}', which is no number among the parameters{hint}"
                raise ValueError(message)
            if low > high:
                message = f"bounds of {name} begin at {low:g}, above their end {high:g}"
                raise ValueError(message)
        return self


class ModelTerms(ModelDeclaration):
    """One audience model, as it is signed: ``sites`` sorted, every training parameter."""

    name: Name
    sites: Annotated[tuple[Name, ...], Field(min_length=1)]
    parameters: dict[str, Any]
    holdout_fraction: float = 0.2
    missing_features: Literal["accept", "refuse"] = "accept"
    weight: Column | None = None
    max_weight: float = 1.0
    site_weights: dict[Name, float] = Field(default_factory=dict)
    brand_base: bool = False

    @property
    def manifest_features(self) -> tuple[Feature, ...]:
        """The features as a run manifest names them, sorted."""
        ordered = sorted(self.features, key=lambda feature: feature.name)
        return tuple(Feature(one.name, categorical=one.type == "category") for one in ordered)

    @property
    def options(self) -> dict[str, Any]:
        """The parameters that are not the defaults."""
        defaults = all_parameters(TrainingParameters())
        return {
            name: value
            for name, value in self.parameters.items()
            if name not in defaults or value != defaults[name]
        }

    @property
    def training_parameters(self) -> TrainingParameters:
        """The parameters that were signed. Raises ConfigError for such as there are none."""
        return TrainingParameters.from_options(self.options)

    @model_validator(mode="after")
    def _usable_parameters(self) -> Self:
        try:
            _ = self.training_parameters
        except ConfigError as error:
            raise ValueError(str(error).replace(". To mend it: ", "; ")) from error
        return self


class PrivacyRules(StrictModel):
    """How a run must protect its sites.

    ``secure``: sums under masks. ``overrides``: rules of the secure sum that a run may set aside.
    ``epsilon`` and ``delta``: the most that a differentially private run may spend; with
    ``epsilon`` every run must be private.
    """

    secure: bool = True
    overrides: tuple[Override, ...] = ()
    epsilon: Annotated[float, Field(gt=0)] | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-6


def _default_reports() -> dict[str, tuple[Report, ...]]:
    return {"every_site": ("software", "schema", "reasons")}


class ContractTerms(StrictModel):
    """`contract` in federation.yml: what holds for every model.

    ``purposes``: consents for which people's data may be used at all. ``destinations``: where
    audiences may go. ``reports``: what each site may tell of itself, by site; `every_site` for
    those that are not named.
    """

    minimum_sites: Annotated[int, Field(ge=1)] = 3
    purposes: Annotated[tuple[str, ...], Field(min_length=1)] = ("train", "share_model", "profile")
    privacy: PrivacyRules = PrivacyRules()
    destinations: tuple[Name, ...] = ()
    reports: dict[Name, tuple[Report, ...]] = Field(default_factory=_default_reports)


class Contract(ContractTerms):
    """All that the sites sign. ``roster``: site -> Ed25519 public key, hexadecimal.

    ``log_key``: the coordinator's public key, with which it signs the audit logs of runs between
    organisations; None where coordinator and sites are one process.
    """

    version: Literal[1] = CONTRACT_VERSION
    federation: Name
    roster: Annotated[dict[Name, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]], Field()]
    log_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    minimum_rows: Annotated[int, Field(ge=0)]
    models: tuple[ModelTerms, ...]

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        for model in self.models:
            if unknown := sorted(set(model.sites) - self.roster.keys()):
                message = f"model {model.name} names sites without a key: {', '.join(unknown)}"
                raise ValueError(message)
            if len(model.sites) < self.minimum_sites:
                message = (
                    f"model {model.name} has {len(model.sites)} sites, below minimum_sites "
                    f"{self.minimum_sites}"
                )
                raise ValueError(message)
        return self

    @property
    def text(self) -> bytes:
        """What a site signs: canonical JSON behind a label, the same bytes at every site."""
        return statement("contract", contract=self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """Hash of ``text``, hexadecimal; signatures do not change it."""
        return sha256(self.text).hexdigest()

    def model(self, name: str) -> ModelTerms:
        """Return the terms of model ``name``; raises ContractError naming the nearest."""
        known = {model.name: model for model in self.models}
        if name in known:
            return known[name]
        near = get_close_matches(name, sorted(known), n=1, cutoff=0.4)
        raise ContractError(
            "the contract holds no model of that name",
            value=name,
            limit=", ".join(sorted(known)) or "none",
            fix=f"did you mean '{near[0]}'?" if near else "add it, and let every site sign anew",
        )

    def may_report(self, site: str, item: Report) -> bool:
        """Whether ``site`` may tell the coordinator this of itself."""
        return item in self.reports.get(site, self.reports.get("every_site", ()))

    def to_json(self) -> str:
        """Canonical JSON."""
        document = self.model_dump(mode="json")
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Read ``to_json`` back. Raises ContractError."""
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise ContractError(
                f"the contract cannot be read: {str(error).partition(chr(10))[0]}",
                fix="run the same version of fed-audience at the coordinator and at every site",
            ) from None


def all_parameters(parameters: TrainingParameters) -> dict[str, Any]:
    """Return every parameter by name, as JSON holds it."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(parameters)))
    document["monotone_constraints"] = dict(parameters.monotone_constraints)
    return document
