"""What holds where: the seed `jurisdiction_rules`, and the strictest mix of several places."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fed_audience.warehouse.protocol import Relation, Warehouse

UNKNOWN_PLACE: Final = "ZZ"
"""Jurisdiction whose rules hold for a place that the seed does not list."""


@dataclass(frozen=True, slots=True)
class JurisdictionRule:
    """One row of the seed; ``ttl_days`` None means that a grant does not lapse by itself."""

    jurisdiction: str
    purpose: str
    default_mode: str | None
    ttl_days: int | None
    minor_unknown_is_minor: bool | None


@dataclass(frozen=True, slots=True)
class Regime:
    """The rule that one person lives under, for one purpose."""

    is_opt_out: bool
    ttl_days: int | None
    is_minor_unless_said: bool


class Rules:
    """The rules of all jurisdictions."""

    def __init__(self, rules: Iterable[JurisdictionRule]) -> None:
        self._by_key: dict[tuple[str, str], list[JurisdictionRule]] = defaultdict(list)
        for rule in rules:
            self._by_key[rule.jurisdiction, rule.purpose].append(rule)
        self._places = {place for place, _ in self._by_key}
        self._shortest = _shortest(
            rule.ttl_days for found in self._by_key.values() for rule in found
        )

    @property
    def purposes(self) -> tuple[str, ...]:
        """Every purpose that any jurisdiction has a rule for, sorted."""
        return tuple(sorted({purpose for _, purpose in self._by_key}))

    def regime(self, jurisdictions: Iterable[str | None], purpose: str) -> Regime:
        """Return the strictest mix of the rules of ``jurisdictions`` for ``purpose``.

        A jurisdiction that the seed does not list counts as ZZ. A purpose without a rule in
        one of them is opt-in there, on the shortest term of the whole seed, and a person of
        unknown age is a minor.
        """
        found: list[JurisdictionRule | None] = []
        places = {place if place in self._places else UNKNOWN_PLACE for place in jurisdictions}
        for place in places or {UNKNOWN_PLACE}:
            found.extend(self._by_key.get((place, purpose), [None]))
        return Regime(
            is_opt_out=all(rule is not None and rule.default_mode == "opt_out" for rule in found),
            ttl_days=_shortest(rule.ttl_days if rule else self._shortest for rule in found),
            is_minor_unless_said=any(
                rule is None or rule.minor_unknown_is_minor is not False for rule in found
            ),
        )


def read_rules(warehouse: Warehouse, relation: Relation) -> Rules:
    """Read the seed; raises ConsentError when it is empty, WarehouseError when it is missing."""
    columns = ", ".join(JurisdictionRule.__dataclass_fields__)
    rows = warehouse.query(f"select {columns} from {relation.sql()}").to_pylist()
    if not rows:
        raise ConsentError(
            "there are no rules of consent, so nothing may be used",
            looked=relation.sql(),
            fix="run `dbt seed`, and check jurisdiction_rules.csv",
        )
    return Rules(JurisdictionRule(**row) for row in rows)


def _shortest(terms: Iterable[int | None]) -> int | None:
    return min((days for days in terms if days is not None), default=None)
