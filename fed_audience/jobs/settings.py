"""`federation.yml`: who takes part, what is trained, whom it reaches and where it goes."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, PrivateAttr, field_validator, model_validator

from fed_audience.audit.fields import Statement
from fed_audience.config import StrictModel, load_yaml
from fed_audience.errors import ConfigError
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.contract.terms import ContractTerms, ModelDeclaration, ModelTerms
from fed_audience.federation.manifest import OBJECTIVES, Task
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.parameters.lightgbm_names import ALIASES
from fed_audience.jobs.audit_settings import AuditSettings
from fed_audience.jobs.link_settings import AgentSettings, CoordinatorSettings
from fed_audience.jobs.overlap_settings import OverlapSettings
from fed_audience.jobs.privacy_settings import PrivacySettings, PublicFeature

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
FoundT = TypeVar("FoundT")
SomeSites = Annotated[tuple[Name, ...], Field(min_length=1)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class ScoringSettings(StrictModel):
    """Whom a brand scores with a model, and where.

    ``table``: the dbt model that holds their features, one row a customer, named by column
    ``entity``. ``in_warehouse``: the warehouse walks the trees by itself, and no row is read.
    """

    table: Annotated[str, Field(min_length=1)] = "fct_scoring_features"
    entity: Annotated[str, Field(min_length=1)] = "customer_id"
    in_warehouse: bool = False


class SiteSettings(StrictModel):
    """One brand: its dbt project, whose profile leads to its warehouse.

    ``scoring``: model -> how this brand scores it, where that is not the package's way.
    """

    name: Name
    project: Path
    profiles: Path | None = None
    target: str | None = None
    scoring: dict[Name, ScoringSettings] = Field(default_factory=dict)
    _state_key: str = PrivateAttr(default="FED_AUDIENCE_STATE_KEY")

    @property
    def state_key(self) -> str:
        """Variable that holds the secret under which the site names its people."""
        return self._state_key

    def under(self, state_key: str) -> Self:
        """Return the site, its secret in variable ``state_key``."""
        site = self.model_copy()
        site._state_key = state_key  # noqa: SLF001 - of a copy of its own
        return site

    def scoring_of(self, model: str) -> ScoringSettings:
        """Return how the brand scores ``model``."""
        return self.scoring.get(model) or ScoringSettings()


class ModelSettings(StrictModel):
    """How one audience model is trained; what it learns is declared in each brand's dbt model.

    ``weight`` names a column of row weights, at most ``max_weight``; ``site_weights`` multiplies
    those of a brand. ``brand_base``: each brand starts from the rate of its own labels.
    ``continuation``: each brand may add trees of its own to the shared model, at home, where they
    win on rows held out there. ``bisect``: where the sums of all sites cannot be right, train over
    groups of three sites or more and name those that are wrong. ``override_small_change``: why
    this run may be with almost the same sites as an earlier one on the same rows. ``terms``: what
    every brand means by it, part of the contract that they sign. ``privacy``: train with noise, by
    a recipe that has its own parameters.
    """

    name: Name
    sites: SomeSites | None = None
    terms: ModelDeclaration | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    holdout_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = 0.2
    missing_features: Literal["accept", "refuse"] = "accept"
    weight: str | None = None
    max_weight: Annotated[float, Field(gt=0)] = 1.0
    site_weights: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    brand_base: bool = False
    continuation: bool = False
    override_brand_difference: Statement | None = None
    bisect: bool = False
    privacy: PrivacySettings | None = None
    override_small_change: Statement | None = None
    override_by: Statement | None = None

    @model_validator(mode="after")
    def _override_has_a_name(self) -> Self:
        for name in ("override_brand_difference", "override_small_change"):
            if getattr(self, name) and not self.override_by:
                message = f"{name} needs override_by: who decided it"
                raise ValueError(message)
        return self

    @field_validator("parameters")
    @classmethod
    def _usable_parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            TrainingParameters.from_options(value)
        except ConfigError as error:
            message = str(error).replace(". To mend it: ", "; ")
            raise ValueError(message) from error
        return value

    def training_parameters(self, task: Task) -> TrainingParameters:
        """Return the parameters with our defaults filled in, the objective of ``task`` among them.

        Raises ConfigError for one that does not go with that objective.
        """
        chosen = {ALIASES.get(word, word) for word in self.parameters}
        meant = {} if "objective" in chosen else {"objective": OBJECTIVES[task][0]}
        return TrainingParameters.from_options(self.parameters | meant)


class WithdrawalSettings(StrictModel):
    """What becomes of a model when somebody in its training set withdraws.

    ``retrain_within_days``: until when it is trained again without them. ``overdue``: 'warn' goes
    on with it after that day, 'refuse' scores nobody with it until it is trained again.
    """

    retrain_within_days: Annotated[int, Field(ge=0, le=3650)] = 30
    overdue: Literal["warn", "refuse"] = "warn"


class AudienceSettings(StrictModel):
    """Whom to reach with a model's scores, through which channel, at which destinations."""

    name: Name
    model: Name
    channel: Name
    share: Share
    sites: SomeSites | None = None
    cut: Literal["per_brand", "federation"] = "per_brand"
    floor_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    cap_share: Share = 1.0
    identifiers: tuple[Literal["email", "phone"], ...] = ("email",)
    destinations: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _floor_below_cap(self) -> Self:
        if self.floor_share > self.cap_share:
            message = f"floor_share {self.floor_share} is above cap_share {self.cap_share}"
            raise ValueError(message)
        return self

    @property
    def purpose(self) -> str:
        """The consent purpose that a person must have granted to be sent."""
        return f"activate:{self.channel}"


class FederationSettings(StrictModel):
    """The whole file. Paths in it are relative to the file.

    ``roster``: the file of sites and keys that every site has approved, where there is one.
    ``budget_book``: where it stands how much privacy each data set has spent. ``sites`` are those
    of this process: all of them, one beside its ``agent``, none beside a ``coordinator``.
    ``contract``: what the sites sign, beside the ``terms`` of the models; ``contract_file`` holds
    it with their signatures. A site that joined has no contract of its own in this file: its
    models are those of the contract file.
    ``public_values``: what anybody may know of a feature, which models with ``privacy`` need.
    """

    name: Name
    sites: tuple[SiteSettings, ...] = ()
    contract: ContractTerms | None = None
    contract_file: Path = Path("contract.json")
    coordinator: CoordinatorSettings | None = None
    agent: AgentSettings | None = None
    models: tuple[ModelSettings, ...] = ()
    audiences: tuple[AudienceSettings, ...] = ()
    destinations: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    minimum_rows: Annotated[int, Field(ge=0)] = 1_000
    minimum_seeds: Annotated[int, Field(ge=1)] = 1_000
    demonstration: bool = False
    max_consent_age_hours: Annotated[float, Field(gt=0)] = 24.0
    audit: AuditSettings = AuditSettings()
    roster: Path = Path("roster.json")
    budget_book: Path = Path("budget.sqlite")
    public_values: dict[str, PublicFeature] = Field(default_factory=dict)
    overlap: OverlapSettings | None = None
    withdrawal: WithdrawalSettings = WithdrawalSettings()
    category_key: str = "FED_AUDIENCE_CATEGORY_KEY"
    state_key: str = "FED_AUDIENCE_STATE_KEY"

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        sites = {site.name for site in self.sites}
        models = {model.name for model in self.models}
        audiences = {audience.name for audience in self.audiences}
        for kind, names, declared in (
            ("sites", sites, self.sites),
            ("models", models, self.models),
            ("audiences", audiences, self.audiences),
        ):
            if len(names) != len(declared):
                message = f"two {kind} have the same name"
                raise ValueError(message)
        if not sites and self.coordinator is None:
            message = "there are no sites; name one, or say with 'coordinator:' that this is theirs"
            raise ValueError(message)
        if self.agent is not None and len(sites) != 1:
            message = f"an agent stands beside one site, and {len(sites)} are named"
            raise ValueError(message)
        if "coordinator" in sites:
            message = "a site cannot be called 'coordinator': logs are signed under that name"
            raise ValueError(message)
        for audience in self.audiences:
            known = set(self.destinations)
            _known(f"audience {audience.name}: destination", audience.destinations, known)
        if self.coordinator is not None or self.agent is not None:
            return self  # the other sites, and a site's models, are those of the contract
        self._models_resolve(models, sites)
        return self

    def _models_resolve(self, models: set[str], sites: set[str]) -> None:
        for audience in self.audiences:
            _known(f"audience {audience.name}: model", [audience.model], models)
            _known(f"audience {audience.name}: site", audience.sites or (), sites)
        for site in self.sites:
            _known(f"site {site.name}: scoring of model", tuple(site.scoring), models)
        for model in self.models:
            _known(f"model {model.name}: site", model.sites or (), sites)
            _known(f"model {model.name}: site of site_weights", tuple(model.site_weights), sites)

    def model(self, name: str) -> ModelSettings:
        """Return the settings of model ``name``; raises ConfigError naming the nearest."""
        return _find("model", name, {model.name: model for model in self.models})

    def audience(self, name: str) -> AudienceSettings:
        """Return the settings of audience ``name``; raises ConfigError naming the nearest."""
        return _find("audience", name, {audience.name: audience for audience in self.audiences})

    def only(self, name: str) -> Self:
        """Return the settings with model ``name`` and its audiences alone; raises ConfigError."""
        audiences = tuple(one for one in self.audiences if one.model == name)
        return self.model_copy(update={"models": (self.model(name),), "audiences": audiences})

    def sites_of(self, names: tuple[str, ...] | None) -> tuple[SiteSettings, ...]:
        """Return the named sites in the file's order, or all of them."""
        return tuple(site for site in self.sites if names is None or site.name in names)


def load_federation(path: Path) -> FederationSettings:
    """Read `federation.yml`; its relative project folders are resolved against its own folder."""
    settings = load_yaml(path, FederationSettings)
    base = path.resolve().parent
    sites = tuple(
        site.model_copy(
            update={
                "project": (base / site.project).resolve(),
                "profiles": (base / site.profiles).resolve() if site.profiles else None,
            }
        ).under(settings.state_key)
        for site in settings.sites
    )
    overlap = settings.overlap
    if overlap is not None:
        overlap = overlap.model_copy(update={"folder": (base / overlap.folder).resolve()})
    resolved = settings.model_copy(
        update={
            "coordinator": settings.coordinator and settings.coordinator.resolved(base),
            "agent": settings.agent and settings.agent.resolved(base),
            "contract_file": (base / settings.contract_file).resolve(),
            "sites": sites,
            "audit": settings.audit.resolved(base),
            "overlap": overlap,
            "budget_book": (base / settings.budget_book).resolve(),
            "roster": (base / settings.roster).resolve(),
        }
    )
    return resolved if resolved.agent is None else _with_signed_models(resolved)


def _with_signed_models(settings: FederationSettings) -> FederationSettings:
    """Return a site's settings with the models of the contract file, where it has one."""
    if settings.models:
        raise ConfigError(
            "a site that joined has its models from the contract, and the file names others",
            value=", ".join(model.name for model in settings.models),
            looked="models in federation.yml",
            fix="take them out; the operator declares them, and every site signs them",
        )
    if not settings.contract_file.exists():
        return settings
    source = str(settings.contract_file)
    text = settings.contract_file.read_text(encoding="utf-8", errors="replace")
    contract = SignedContract.from_json(text, source=source).contract
    models = tuple(_settings_of(terms) for terms in contract.models)
    own = settings.minimum_rows if "minimum_rows" in settings.model_fields_set else 0
    rows = max(own, contract.minimum_rows)
    return settings.model_copy(update={"models": models, "minimum_rows": rows})


def _settings_of(terms: ModelTerms) -> ModelSettings:
    """Return the settings of a model as the contract has it."""
    common = ModelSettings.model_fields.keys() & ModelTerms.model_fields.keys()
    shared = {name: getattr(terms, name) for name in common - {"parameters"}}
    declared = {name: getattr(terms, name) for name in ModelDeclaration.model_fields}
    return ModelSettings(**shared, parameters=terms.options, terms=ModelDeclaration(**declared))


def _known(what: str, names: tuple[str, ...] | list[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"declared: {sorted(known) or 'none'}"
            message = f"{what} '{name}' is not declared; {hint}"
            raise ValueError(message)


def _find(kind: str, name: str, known: dict[str, FoundT]) -> FoundT:
    if name in known:
        return known[name]
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    raise ConfigError(
        f"no {kind} of that name",
        value=name,
        limit=", ".join(sorted(known)) or "none declared",
        looked=f"{kind}s in federation.yml",
        fix=f"did you mean '{near[0]}'?" if near else f"declare it under {kind}s",
    )
