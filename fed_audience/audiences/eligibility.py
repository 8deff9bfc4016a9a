"""Who may be reached at all, counted step by step. Comes before any cut by score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PLAUSIBLE: Final = {
    "email": r"^\s*[^@\s]+@[^@\s]+\.[^@\s.]+\s*$",
    "phone": r"^\s*\+?(?:[\s().-]*\d){7,15}\s*$",
}


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Customers left after one step, and how many it took out."""

    name: str
    remaining: int
    lost: int


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Which rows may be reached (in the order given), and the funnel that led there."""

    eligible: NDArray[np.bool_]
    steps: tuple[FunnelStep, ...]

    @property
    def count(self) -> int:
        """Number of eligible customers."""
        return self.steps[-1].remaining

    def lost_at(self, name: str) -> int:
        """Return how many customers step ``name`` took out; raises KeyError for another name."""
        return {step.name: step.lost for step in self.steps}[name]


def decide(
    candidates: pa.Table,
    *,
    consent_column: str,
    identifiers: Sequence[str] = ("email",),
    usable_identifier: NDArray[np.bool_] | None = None,
) -> Eligibility:
    """Decide who of ``candidates`` may be reached.

    ``candidates`` is `int_contact_details` left-joined with the scores: customer_id, score,
    is_suppressed, in_holdout, ``consent_column`` and the ``identifiers``. Steps in order:
    customers, scored, consent, not suppressed, not held out, usable identifier. Whatever is
    unknown counts against reaching: a null consent is no, a null suppression is yes.
    ``usable_identifier`` is the destination's own verdict a row; without it a plausible shape
    of any of ``identifiers`` is enough. Raises DataError on a missing column, on a customer
    listed twice, and on an identifier other than email or phone.
    """
    needed = ["customer_id", "score", "is_suppressed", "in_holdout", consent_column]
    _require(candidates, [*needed, *([] if usable_identifier is not None else identifiers)])
    _refuse_duplicates(candidates)
    if usable_identifier is None:
        usable_identifier = plausible_identifier(candidates, identifiers)
    rules = (
        ("scored", np.isfinite(_numbers(candidates["score"]))),
        ("consent", _flags(candidates[consent_column], unknown=False)),
        ("not suppressed", ~_flags(candidates["is_suppressed"], unknown=True)),
        ("not held out", ~_flags(candidates["in_holdout"], unknown=True)),
        ("usable identifier", usable_identifier),
    )
    left = np.ones(candidates.num_rows, dtype=np.bool_)
    steps = [FunnelStep("customers", candidates.num_rows, 0)]
    for name, passes in rules:
        left &= passes
        remaining = int(np.count_nonzero(left))
        steps.append(FunnelStep(name, remaining, steps[-1].remaining - remaining))
    return Eligibility(left, tuple(steps))


def plausible_identifier(candidates: pa.Table, identifiers: Sequence[str]) -> NDArray[np.bool_]:
    """Return per row whether any of ``identifiers`` has the shape of an e-mail or a phone."""
    _require(candidates, identifiers)
    usable = np.zeros(candidates.num_rows, dtype=np.bool_)
    for name in identifiers:
        if name not in _PLAUSIBLE:
            raise DataError(
                "no shape is known for that identifier",
                value=name,
                limit=", ".join(sorted(_PLAUSIBLE)),
                fix="give usable_identifier, the destination's own verdict a row",
            )
        matches = pc.match_substring_regex(candidates[name].cast(pa.string()), _PLAUSIBLE[name])
        usable |= _flags(matches, unknown=False)
    return usable


def _require(candidates: pa.Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in candidates.column_names]
    if missing:
        raise DataError(
            "eligibility lacks a column",
            value=", ".join(missing),
            looked=f"columns {', '.join(candidates.column_names)}",
            fix="read the candidates from int_contact_details joined with the scores",
        )


def _refuse_duplicates(candidates: pa.Table) -> None:
    distinct = pc.count_distinct(candidates["customer_id"], mode="all").as_py()
    if distinct != candidates.num_rows:
        raise DataError(
            "a customer is listed more than once, or without an id",
            value=f"{candidates.num_rows} rows, {distinct} customers",
            fix="join the scores of one model version only, one row a customer",
        )
    if candidates["customer_id"].null_count:
        raise DataError("a candidate has no customer id", fix="drop rows without customer_id")


def _flags(column: Any, *, unknown: bool) -> NDArray[np.bool_]:
    filled = pc.fill_null(column.cast(pa.bool_()), unknown)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _numbers(column: Any) -> NDArray[np.float64]:
    filled = pc.fill_null(column.cast(pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.float64)
