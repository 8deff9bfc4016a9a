"""The run manifest: what every site must agree on before the first row is read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from math import frexp, ldexp
from typing import TYPE_CHECKING, Final, Literal

from pydantic import TypeAdapter, ValidationError

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation.private.public_values import PublicValues  # noqa: TC001 - pydantic reads it
from fed_audience.federation.private.recipe import check_private
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.models.model import check_feature_names
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.dp.plan import PrivacyTerms  # noqa: TC001 - pydantic reads it
from fed_audience.privacy.rounds import DROPOUT_COHORT, MIN_CHANGE
from fed_audience.privacy.run_keys import Override  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MANIFEST_VERSION: Final = 1
_LEAST_WEIGHT: Final = 1e-4
Task = Literal["propensity", "lookalike", "demand", "multiclass"]
OBJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    "propensity": ("binary",),
    "lookalike": ("binary",),
    "demand": ("poisson", "tweedie", "regression"),
    "multiclass": ("multiclass",),
}
"""Objectives that a task may be learnt with, the one that is meant unless somebody says first."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One training run, the same bytes at the coordinator and at every site.

    ``row_key`` names the column that identifies a row within its site; sampling hashes it.
    ``group_key`` names a column whose rows must stay on one side of the validation split (a
    person with several rows). ``label_sites`` limits training to those sites: the others take
    part in agreeing the bins and need no label (a lookalike from one brand's seeds).
    ``allow_missing_features`` lets a site lack a feature's column; its values are then missing.
    ``min_category_count``: fewer rows of a category over all sites are never told apart.
    ``classes``: the label's values in the order of their codes, where they are words.
    ``weight`` names a column of row weights, above 0 and at most ``max_weight``. ``brand`` names a
    column that says whose customer a row is, wherever it is stored: ``brand_weights`` multiplies
    the weights of a brand's rows, ``brand_base`` gives each brand a base score of its own.
    ``secure``: what leaves a site is masked, so that only sums over the sites can be read.
    ``overrides``: rules of the secure sum that all sites set aside (``overrides_for``).
    ``privacy`` makes the run differentially private, by a recipe of its own (``private``), over
    the ranges and categories that ``public`` declares for every feature.

    Neither ``run_id`` nor ``sites`` reaches the model text. Raises ConfigError.
    """

    run_id: str
    model_name: str
    task: Task
    features: tuple[Feature, ...]
    label: str
    row_key: str
    sites: tuple[str, ...]
    group_key: str | None = None
    label_sites: tuple[str, ...] | None = None
    allow_missing_features: bool = False
    min_category_count: int = 20
    classes: tuple[str, ...] = ()
    weight: str | None = None
    max_weight: float = 1.0
    brand: str | None = None
    brand_weights: tuple[tuple[str, float], ...] = ()
    brand_base: bool = False
    secure: bool = True
    overrides: tuple[Override, ...] = ()
    privacy: PrivacyTerms | None = None
    public: tuple[PublicValues, ...] = ()
    parameters: TrainingParameters = field(default_factory=TrainingParameters)

    def __post_init__(self) -> None:
        check_feature_names(feature.name for feature in self.features)
        for name in ("run_id", "model_name", "label", "row_key"):
            if not getattr(self, name):
                raise ConfigError(f"the manifest's {name} is empty", fix=f"give {name} a value")
        if self.task not in OBJECTIVES:
            raise ConfigError(
                "unknown task", value=self.task, limit=", ".join(OBJECTIVES), fix="choose one"
            )
        if self.parameters.objective not in OBJECTIVES[self.task]:
            raise ConfigError(
                f"task {self.task} cannot be learnt with this objective",
                value=self.parameters.objective,
                limit=", ".join(OBJECTIVES[self.task]),
                fix="choose an objective of the task, or another task",
            )
        if not self.features:
            raise ConfigError("the manifest has no features", fix="declare at least one feature")
        if not self.sites or len(set(self.sites)) != len(self.sites) or "" in self.sites:
            raise ConfigError(
                "the manifest needs sites, each named once",
                value=list(self.sites),
                fix="list every site of the run under its own name",
            )
        if self.label_sites is not None and not (
            self.label_sites and set(self.label_sites) <= set(self.sites)
        ):
            raise ConfigError(
                "label_sites must name sites of the run",
                value=list(self.label_sites),
                limit=list(self.sites),
                fix="correct label_sites",
            )
        if self.min_category_count < 1:
            raise ConfigError(
                "min_category_count must be positive", value=self.min_category_count, limit=">= 1"
            )
        self._check_overrides()
        self._check_columns()
        self._check_weights()
        check_private(self)
        if self.classes and len(set(self.classes)) != self.parameters.num_class:
            raise ConfigError(
                "the classes must be named once each, as many as num_class",
                value=list(self.classes),
                limit=self.parameters.num_class,
                fix="correct classes or num_class",
            )

    def _check_overrides(self) -> None:
        needed = overrides_for(self.sites, self.training_sites) if self.secure else ()
        if missing := sorted(set(needed) - set(self.overrides)):
            raise ConfigError(
                "too few sites for a sum that hides each of them",
                value=f"{len(self.sites)} sites, {len(self.training_sites)} of them with labels",
                limit="at least 3, and 3 more or none without labels",
                fix=f"add sites, or let every site agree to overrides {', '.join(missing)}",
            )

    def _check_columns(self) -> None:
        names = {feature.name for feature in self.features}
        for role in ("label", "row_key", "group_key", "weight"):
            if getattr(self, role) in names:
                raise ConfigError(
                    f"the {role} column is declared as a feature too",
                    value=getattr(self, role),
                    fix="drop it from the features: the model would learn from what it predicts"
                    if role == "label"
                    else "drop it from the features",
                )
        for name, _ in self.parameters.monotone_constraints:
            if Feature(name) not in self.features:
                raise ConfigError(
                    "a monotone constraint needs a numeric feature of the model",
                    value=name,
                    limit=[feature.name for feature in self.features if not feature.categorical],
                    fix="correct the name, or drop the constraint",
                )

    def _check_weights(self) -> None:
        for name, weight in (("max_weight", self.max_weight), *self.brand_weights):
            if not _LEAST_WEIGHT <= weight <= 1 / _LEAST_WEIGHT:
                raise ConfigError(
                    "a weight is out of range",
                    value=f"{name}: {weight:g}",
                    limit=f"{_LEAST_WEIGHT:g} to {1 / _LEAST_WEIGHT:g}",
                    fix="choose weights around 1",
                )
        if len(dict(self.brand_weights)) != len(self.brand_weights):
            raise ConfigError("a brand is given two weights", value=list(self.brand_weights))
        if self.brand is None and (self.brand_weights or self.brand_base):
            raise ConfigError(
                "brand_weights and brand_base need the brand column",
                fix="name the column that says whose customer a row is as brand",
            )

    @property
    def training_sites(self) -> tuple[str, ...]:
        """The sites that hold labels and grow trees."""
        return self.sites if self.label_sites is None else self.label_sites

    @property
    def fixed_cohort(self) -> bool:
        """Whether no site may leave the run: of fewer than ten, and where hessians are counts.

        Those of the squared error are the same in every tree, so two cohorts' sums of them differ
        by the counts of who left. Of a private run every site's share of the noise is reckoned on.
        """
        few = len(self.training_sites) < DROPOUT_COHORT
        counted = self.parameters.objective == "regression"
        return few or counted or self.privacy is not None

    def cohort(self, absent: Iterable[int] = (), *, of_all_sites: bool = False) -> tuple[str, ...]:
        """Sites of a round, sorted: those with labels or all, but for the ``absent`` ones.

        ``absent``: places in ``sites``. Raises FederationError for a place that is none.
        """
        gone = set(absent)
        if not gone <= set(range(len(self.sites))):
            raise FederationError("a round does without a site that the run has not")
        left = {site for place, site in enumerate(self.sites) if place not in gone}
        return tuple(sorted(left if of_all_sites else left & set(self.training_sites)))

    @property
    def weighted(self) -> bool:
        """Whether rows may weigh differently."""
        return self.weight is not None or bool(self.brand_weights)

    @property
    def weight_cap(self) -> float:
        """The least power of two that no row's weight exceeds, the one of positives included."""
        # A brand that is not listed weighs 1.
        heaviest = max([1.0, *(weight for _, weight in self.brand_weights)])
        if self.weight is not None:
            heaviest *= self.max_weight
        heaviest *= max(self.parameters.scale_pos_weight, 1.0)
        mantissa, exponent = frexp(heaviest)
        return ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)  # noqa: PLR2004 - a power of two itself

    def to_json(self) -> str:
        """Canonical JSON: equal manifests give equal bytes."""
        document = {"version": MANIFEST_VERSION, **asdict(self)}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def sha256(self) -> str:
        """Hash of ``to_json``, hexadecimal."""
        return sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read ``to_json`` back; raise FederationError unless it gives the same text again."""
        try:
            manifest = _reader().validate_json(_without_version(text), strict=True)
        except (ValueError, TypeError, RecursionError, ConfigError) as error:
            raise FederationError(
                f"the run manifest is malformed: {_reason(error)}",
                fix="run the same version of fed-audience at the coordinator and at every site",
            ) from error
        if manifest.to_json() != text:
            raise FederationError(
                "the run manifest is not in canonical form", fix="write it with Manifest.to_json"
            )
        return manifest


def overrides_for(sites: Sequence[str], training_sites: Sequence[str]) -> tuple[Override, ...]:
    """Rules of the secure sum that a run over these sites must set aside; () for most.

    ``two_sites``: each of two knows its own numbers, and so the other's. ``one_site``: the
    coordinator sees the sums of the only site with labels. ``small_change``: counts of all sites
    less those of the sites with labels show one or two others. A run of one site hides nothing
    and needs nothing.
    """
    if len(sites) == 1:
        return ()
    found: list[Override] = []
    if len(training_sites) == 1:
        found.append("one_site")
    if len(sites) == 2 or len(training_sites) == 2:  # noqa: PLR2004 - a pair
        found.append("two_sites")
    if 0 < len(sites) - len(training_sites) < MIN_CHANGE:
        found.append("small_change")
    return tuple(sorted(found))


@cache
def _reader() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def _without_version(text: str) -> str:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("it is not an object")
    if (version := document.pop("version", None)) != MANIFEST_VERSION:
        raise ValueError(f"version {version!r}, this program reads version {MANIFEST_VERSION}")
    return json.dumps(document)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
