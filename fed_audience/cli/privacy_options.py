"""Flags of noisy training, and what they change about a federation's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fed_audience.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from fed_audience.jobs.settings import FederationSettings, ModelSettings

Epsilon = Annotated[
    float | None,
    typer.Option(
        help="Train with differential privacy, by a recipe that has its own parameters. "
        "[default: privacy of the model in federation.yml]"
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(help="Of the noise, far below 1 / number of rows. [default: 1e-6]"),
]
Colluders = Annotated[int | None, typer.Option(help="Brands that may collude. [default: a third]")]
Passes = Annotated[
    int | None, typer.Option(help="Turns that each feature has. [default: as suits epsilon]")
]
PublicRanges = Annotated[
    list[str] | None,
    typer.Option(
        "--public-range",
        metavar="FEATURE=LOW:HIGH",
        help="Range that a number may be known to have; repeatable.",
    ),
]
PublicCategories = Annotated[
    list[str] | None,
    typer.Option(
        "--public-categories",
        metavar="FEATURE=A|B|C",
        help="Categories that may be known; repeatable.",
    ),
]


@dataclass(frozen=True, slots=True)
class PrivacyFlags:
    """What a command line says about noise; None or () where it says nothing."""

    epsilon: float | None = None
    delta: float | None = None
    colluders: int | None = None
    passes: int | None = None
    ranges: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def applied(self, settings: FederationSettings, model: str | None = None) -> FederationSettings:
        """Return ``settings`` with these flags before what they say of ``model``, or of all.

        Raises UsageError for flags that promise nothing, or belong to an epsilon that is nowhere.
        """
        given: dict[str, Any] = {
            name: value
            for name in ("epsilon", "delta", "colluders", "passes")
            if (value := getattr(self, name)) is not None
        }
        models = tuple(
            self._model(one, given) if model in (None, one.name) else one for one in settings.models
        )
        public = settings.public_values | self._public_values()
        return settings.model_copy(update={"models": models, "public_values": public})

    def _model(self, model: ModelSettings, given: dict[str, Any]) -> ModelSettings:
        from fed_audience.jobs.privacy_settings import PrivacySettings  # noqa: PLC0415 - start-up

        if not given:
            return model
        known = model.privacy.model_dump() if model.privacy is not None else {}
        if "epsilon" not in known | given:
            raise UsageError(
                f"--{next(iter(given))} belongs to an epsilon",
                value=f"model {model.name} has no privacy in federation.yml",
                fix="add --epsilon 1",
            )
        try:
            privacy = PrivacySettings.parse(known | given, source="the command line")
        except ConfigError as error:
            raise UsageError(error.what, fix="correct the flag; nothing was started") from None
        return model.model_copy(update={"privacy": privacy})

    def _public_values(self) -> dict[str, Any]:
        from fed_audience.jobs.privacy_settings import PublicFeature  # noqa: PLC0415 - start-up
        from fed_audience.simulate.settings import parse_categories, parse_ranges  # noqa: PLC0415

        ranges = parse_ranges(self.ranges)
        lists = parse_categories(self.categories)
        declared: dict[str, dict[str, Any]] = {
            **{name: {"low": low, "high": high} for name, low, high in ranges},
            **{name: {"categories": values} for name, values in lists},
        }
        found = {}
        for name, values in declared.items():
            try:
                found[name] = PublicFeature.parse(values, source="the command line")
            except ConfigError as error:
                raise UsageError(f"{name}: {error.what}", fix="correct the flag") from None
        return found
