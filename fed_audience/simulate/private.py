"""What a simulation with `--epsilon` needs besides: public values and the budget's charge."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import ConfigError, UsageError
from fed_audience.federation.private.public_values import MOST_CATEGORIES, PublicValues
from fed_audience.gbdt.bins.canonical import LARGEST
from fed_audience.privacy.budget import BudgetBook, Charge
from fed_audience.simulate.outcome import Privacy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.federation.result import TrainingResult
    from fed_audience.privacy.dp.plan import PrivacyPlan
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings

_SHOWN: Final = 5


def public_values(
    problem: Problem, settings: SimulationSettings
) -> tuple[tuple[PublicValues, ...], list[str]]:
    """Return the public range or categories of every feature, and what is to be warned of.

    Nothing without epsilon. What is not declared is read off the table at hand. Raises UsageError
    for a declaration of a column that is no feature of that kind.
    """
    if settings.terms is None:
        return (), []
    declared = {name: (low, high) for name, low, high in settings.public_ranges}
    lists = dict(settings.public_categories)
    found, read = [], []
    for feature in problem.features:
        column = problem.names[feature.name]
        asked, other = (lists, declared) if feature.categorical else (declared, lists)
        if column in other:
            kind = "text: --public-categories" if feature.categorical else "numbers: --public-range"
            raise UsageError(
                f"column {column!r} holds {kind} declares it", fix="use the other flag for it"
            )
        if column not in asked:
            read.append(column)
            found.append(_read(feature.name, problem.columns.column(feature.name)))
        elif feature.categorical:
            found.append(_declared(feature.name, categories=lists.pop(column)))
        else:
            low, high = declared.pop(column)
            found.append(_declared(feature.name, low=low, high=high))
    if unknown := sorted({*declared, *lists}):
        raise UsageError(
            f"there is no feature {unknown[0]!r} to declare public values of",
            looked=", ".join(problem.names.values()),
            fix="correct the name",
        )
    warnings = []
    if read:
        warnings.append(
            f"ranges and categories of {_listed(read)} were read off this table and count as "
            "public: between brands declare them (--public-range, --public-categories), for what "
            "is read off rows is not private"
        )
    return tuple(found), warnings


def charge(settings: SimulationSettings, plan: PrivacyPlan) -> None:
    """Charge the book that was named, before the training; every simulation draws fresh noise.

    Raises BudgetError when the limit of the table would be passed.
    """
    if settings.budget_book is None:
        return
    run = f"simulation {token_hex(8)}"
    book = BudgetBook(settings.budget_book)
    book.charge(Charge(settings.path.name, run, "training", plan.mu, plan.terms.delta))


def privacy_of(result: TrainingResult, settings: SimulationSettings, *, read: bool) -> Privacy:
    """Say how the federated run was protected; ``read``: public values came off the table."""
    hidden, plan = result.protection, result.privacy
    plain = Privacy(
        secure_sum=hidden.secure,
        sites=hidden.sites,
        training_sites=hidden.training_sites,
        overrides=hidden.overrides,
        sentences=hidden.sentences(),
    )
    if plan is None:
        return plain
    promised = plan.document()
    return replace(
        plain,
        sentences=(*plain.sentences, plan.sentence()),
        epsilon=promised["epsilon"],
        delta=promised["delta"],
        mu=promised["mu"],
        unit=promised["unit"],
        colluders=promised["colluders"],
        epsilon_against_colluders=promised["epsilon_against_colluders"],
        spent_on=promised["spent_on"],
        public_values="read off the table" if read else "declared",
        budget_book=None if settings.budget_book is None else str(settings.budget_book),
    )


def _read(name: str, column: Any) -> PublicValues:
    if pa.types.is_string(column.type):
        counted = pc.value_counts(column.combine_chunks().drop_null()).to_pylist()
        ranked = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
        return PublicValues(
            name, categories=tuple(one["values"] for one in ranked[:MOST_CATEGORIES])
        )
    numbers = column.drop_null().to_numpy()
    numbers = np.clip(numbers[~np.isnan(numbers)], -LARGEST, LARGEST)
    if not len(numbers):
        return PublicValues(name, 0.0, 0.0)
    return PublicValues(name, float(numbers.min()), float(numbers.max()))


def _declared(name: str, **values: Any) -> PublicValues:
    try:
        return PublicValues(name, **values)
    except ConfigError as error:
        raise UsageError(error.what, value=error.value, limit=error.limit, fix=error.fix) from None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
