"""The run manifest: what every site must agree on before the first row is read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from fed_audience.errors import ConfigError, FederationError
from fed_audience.gbdt.bins import Feature  # noqa: TC001 - pydantic reads it at run time
from fed_audience.gbdt.model import check_feature_names
from fed_audience.gbdt.parameters import TrainingParameters

MANIFEST_VERSION: Final = 1
Task = Literal["propensity", "lookalike"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One training run, the same bytes at the coordinator and at every site.

    ``row_key`` names the column that identifies a row within its site; sampling hashes it.
    ``group_key`` names a column whose rows must stay on one side of the validation split (a
    person with several rows). ``label_sites`` limits training to those sites: the others take
    part in agreeing the bins and need no label (a lookalike from one brand's seeds).
    ``allow_missing_features`` lets a site lack a feature's column; its values are then missing.
    ``min_category_count``: fewer rows of a category over all sites are never told apart.

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
    parameters: TrainingParameters = field(default_factory=TrainingParameters)

    def __post_init__(self) -> None:
        check_feature_names(feature.name for feature in self.features)
        for name in ("run_id", "model_name", "label", "row_key"):
            if not getattr(self, name):
                raise ConfigError(f"the manifest's {name} is empty", fix=f"give {name} a value")
        if self.task not in ("propensity", "lookalike"):
            raise ConfigError(
                "unknown task", value=self.task, limit="propensity or lookalike", fix="choose one"
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
        names = {feature.name for feature in self.features}
        for role in ("label", "row_key", "group_key"):
            if getattr(self, role) in names:
                raise ConfigError(
                    f"the {role} column is declared as a feature too",
                    value=getattr(self, role),
                    fix="drop it from the features: the model would learn from what it predicts"
                    if role == "label"
                    else "drop it from the features",
                )

    @property
    def training_sites(self) -> tuple[str, ...]:
        """The sites that hold labels and grow trees."""
        return self.sites if self.label_sites is None else self.label_sites

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
            manifest = TypeAdapter(cls).validate_json(_without_version(text), strict=True)
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
