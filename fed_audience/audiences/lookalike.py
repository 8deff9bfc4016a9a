"""What a lookalike across brands may use, and when it must not be trusted.

Two modes. ``seed_rule``: every brand labels its own customers by the same rule, which is an
ordinary federated training. ``seed_brand``: one brand's seeds against that brand's other
eligible customers; rows of the target brands are never negatives, because a model of "seed
against everyone" learns which brand a person shops at, and ranks the targets upside down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WARN_AUC: Final = 0.85
"""Brand-discriminator AUC from which a target differs enough to say so."""

REFUSE_AUC: Final = 0.95
"""Brand-discriminator AUC from which a lookalike is refused unless overridden."""

SEED_RULE_BRANDS: Final = 3
"""Fewest brands of a federated training: a sum of two tells each the other's part."""


@dataclass(frozen=True, slots=True)
class LookalikeSettings:
    """How a lookalike is made. ``setting`` decides whether too few seeds warn or refuse.

    ``minimum_fill`` is the share of filled values below which a brand counts as not having a
    feature. ``override_reason`` lets a target pass that the brand discriminator refuses; it is
    kept with the run. Raises ConfigError when a value leaves its range.
    """

    mode: Literal["seed_rule", "seed_brand"]
    brands: tuple[str, ...]
    seed_brand: str | None = None
    minimum_seeds: int = 1_000
    minimum_fill: float = 0.05
    setting: Literal["demo", "production"] = "production"
    override_reason: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.brands)) != len(self.brands):
            raise ConfigError("a brand takes part twice", value=", ".join(self.brands))
        if self.mode == "seed_rule" and len(self.brands) < SEED_RULE_BRANDS:
            raise ConfigError(
                "a seed rule is trained by the brands together",
                value=f"{len(self.brands)} brands",
                limit=f"at least {SEED_RULE_BRANDS}",
                fix="add brands, or use mode seed_brand",
            )
        if self.mode == "seed_rule" and self.seed_brand is not None:
            raise ConfigError(
                "a seed rule has no seed brand; every brand labels its own customers",
                value=self.seed_brand,
                fix="drop seed_brand, or use mode seed_brand",
            )
        if self.mode == "seed_brand" and self.seed_brand not in self.brands:
            raise ConfigError(
                "the seed brand must take part",
                value=self.seed_brand,
                limit=", ".join(self.brands),
                fix="set seed_brand to one of them",
            )
        if self.mode == "seed_brand" and not self.targets:
            raise ConfigError("a lookalike needs a target brand beside its seed brand")
        if not 0.0 < self.minimum_fill <= 1.0:
            raise ConfigError(
                "minimum_fill is out of range", value=self.minimum_fill, limit="above 0, up to 1"
            )
        if self.minimum_seeds < 1:
            raise ConfigError(
                "minimum_seeds is out of range", value=self.minimum_seeds, limit=">= 1"
            )
        if self.override_reason is not None and not self.override_reason.strip():
            raise ConfigError(
                "an override is recorded with its reason",
                fix="say in override_reason why the target may be scored all the same",
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """Brands that hold no labels; empty for a seed rule."""
        return tuple(b for b in self.brands if self.mode == "seed_brand" and b != self.seed_brand)

    def is_rank(self, brand: str) -> bool:
        """Return whether ``brand``'s score is only a rank: it has no labels to calibrate with."""
        return brand in self.targets


@dataclass(frozen=True, slots=True)
class CommonFeatures:
    """Features that every brand fills, and why each other one was left out."""

    kept: tuple[str, ...]
    left_out: Mapping[str, str]


def common_features(
    fill_rates: Mapping[str, Mapping[str, float]],
    *,
    minimum_fill: float,
    brand_columns: Sequence[str] = (),
) -> CommonFeatures:
    """Keep the features that every brand fills, in the order of the first brand.

    ``fill_rates`` holds per brand and feature the share of non-missing values (0 to 1); a
    feature that a brand does not list is not filled there. ``brand_columns`` tell the brands
    apart by name and are never kept. Raises DataError when nothing is left.
    """
    names = dict.fromkeys(name for rates in fill_rates.values() for name in rates)
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for name in names:
        lacking = [
            f"{brand} {rates.get(name, 0.0):.1%}"
            for brand, rates in fill_rates.items()
            if rates.get(name, 0.0) < minimum_fill
        ]
        if name in brand_columns:
            left_out[name] = "names the brand"
        elif lacking:
            left_out[name] = f"filled too rarely: {', '.join(lacking)} (needs {minimum_fill:.1%})"
        else:
            kept.append(name)
    if not kept:
        raise DataError(
            "the brands have no filled feature in common",
            value=f"{len(names)} features at {', '.join(fill_rates)}",
            limit=f"filled at {minimum_fill:.1%} or more everywhere",
            fix="map the brands' columns onto shared names in dbt, or lower minimum_fill",
        )
    return CommonFeatures(tuple(kept), left_out)


@dataclass(frozen=True, slots=True)
class SeedWarning:
    """A lookalike from too few seeds: allowed in a demonstration, and said."""

    seeds: int
    minimum: int

    @property
    def message(self) -> str:
        """One sentence for the terminal and the report."""
        return (
            f"{self.seeds:,} seeds, fewer than the {self.minimum:,} that production asks for: "
            "single people may shape the trees, and the ranking is shaky"
        )


def check_seeds(seeds: int, others: int, settings: LookalikeSettings) -> SeedWarning | None:
    """Check the number of positives and negatives at the brand that holds them.

    Returns a warning for too few seeds in a demonstration. Raises DataError for too few in
    production, and always when there are no seeds or nobody to tell them from.
    """
    if seeds < 1 or others < 1:
        raise DataError(
            "a lookalike needs seeds and other customers of the same brand",
            value=f"{seeds} seeds, {others} others",
            fix="check the label of the training model and the consents train and share_model",
        )
    if seeds >= settings.minimum_seeds:
        return None
    if settings.setting == "production":
        raise DataError(
            "too few seeds: trees that leave the brand could point at single people",
            value=seeds,
            limit=f"at least {settings.minimum_seeds}",
            fix="widen the seed rule or its time window",
        )
    return SeedWarning(seeds, settings.minimum_seeds)


@dataclass(frozen=True, slots=True)
class BrandDifference:
    """How well a model tells a target brand's customers from the seed brand's, and what follows.

    ``auc`` lies in 0.5 (alike) to 1 (apart). ``override_reason`` is set only when it was needed.
    """

    auc: float
    verdict: Literal["ok", "warn", "refuse", "overridden"]
    override_reason: str | None = None

    @property
    def may_proceed(self) -> bool:
        """Whether the target may be scored."""
        return self.verdict != "refuse"

    def message(self, target: str) -> str:
        """One sentence for the terminal, the report and the audit record."""
        follows = {
            "ok": "alike enough for the ranking to carry over",
            "warn": f"{WARN_AUC} or more: check the ranking with a small test first",
            "refuse": f"{REFUSE_AUC} or more: refused, the ranking would be a guess",
            "overridden": f"{REFUSE_AUC} or more: overridden, {self.override_reason}",
        }[self.verdict]
        return (
            f"{target}: customers are told from the seed brand's with AUC {self.auc:.3f}; {follows}"
        )

    def require(self, target: str) -> None:
        """Raise DataError when ``target`` differs too much to be scored."""
        if not self.may_proceed:
            raise DataError(
                f"{target} differs too much from the seed brand for a lookalike",
                value=f"brand-discriminator AUC {self.auc:.3f}",
                limit=f"below {REFUSE_AUC}",
                fix="use a seed rule that the target can label itself, drop features that only "
                "tell the brands apart, or record an override with its reason",
            )


def brand_discriminator_verdict(
    auc: float, *, override_reason: str | None = None
) -> BrandDifference:
    """Judge a brand-discriminator AUC: ok, warn from 0.85, refuse from 0.95 unless overridden.

    An AUC below one half separates as well as its mirror image. Raises DataError outside 0 to 1.
    """
    if not 0.0 <= auc <= 1.0:
        raise DataError("an AUC lies between 0 and 1", value=auc)
    folded = max(auc, 1.0 - auc)
    if folded < WARN_AUC:
        return BrandDifference(folded, "ok")
    if folded < REFUSE_AUC:
        return BrandDifference(folded, "warn")
    if override_reason is None:
        return BrandDifference(folded, "refuse")
    return BrandDifference(folded, "overridden", override_reason)
