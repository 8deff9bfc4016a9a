"""The budget book: how much privacy each data set may spend, and every charge ever made to it.

The owner of a data set sets a limit, (epsilon, delta). A run is charged before it sends anything,
and nothing is given back, also not for a run that fails: what was sent may have been read. Charges
add up as the sum of mu^2, exactly as Gaussian noise composes (see `dp.accounting`).

One SQLite file, one row an entry, in a chain of SHA-256 hashes whose head stands beside it: a
changed, removed or added row, a file cut short and one that is no book are refused. Like every
record without a key of its own, it cannot tell a whole file that its owner wrote anew; the head's
hash, which is shown with the book, can be kept elsewhere to tell that too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from fed_audience.errors import BudgetError, ConfigError, UsageError
from fed_audience.privacy.chained_file import ChainedFile
from fed_audience.privacy.dp.accounting import epsilon_of, mu_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

LONGEST_NAME: Final = 200
_ROUNDING: Final = 1e-12
"""Relative slack of the limit: a sum of squares and its root, in 64-bit floats."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one release costs a data set. Raises UsageError for what cannot be a charge.

    ``mu``: of Gaussian differential privacy, above 0. ``delta``: at which the run states its own
    epsilon; it is recorded and not added up, since mu alone composes. A run that is sent again
    names the same ``run_id`` and ``purpose`` and is charged once.
    """

    data_set: str
    run_id: str
    purpose: str
    mu: float
    delta: float

    def __post_init__(self) -> None:
        for what in ("data_set", "run_id", "purpose"):
            _require_name(what, getattr(self, what))
        if not (math.isfinite(self.mu) and self.mu > 0):
            raise _no_charge("mu", self.mu, "above 0, and finite")
        if not 0 < self.delta < 1:
            raise _no_charge("delta", self.delta, "above 0 and below 1")

    @property
    def key(self) -> tuple[str, str]:
        """What tells charges of a data set apart."""
        return (self.run_id, self.purpose)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the owner of a data set lets all its releases together spend."""

    epsilon: float
    delta: float

    @property
    def mu(self) -> float:
        """The same as mu of Gaussian differential privacy."""
        return mu_of(self.epsilon, self.delta)


@dataclass(frozen=True, slots=True)
class Balance:
    """A data set's limit (None: its owner has set none) and its charges, oldest first."""

    data_set: str
    limit: Limit | None
    charges: tuple[Charge, ...]

    @property
    def mu(self) -> float:
        """All that was charged, as one mu."""
        return math.sqrt(math.fsum(charge.mu**2 for charge in self.charges))

    @property
    def epsilon(self) -> float | None:
        """All that was charged, at the limit's delta; None without a limit."""
        return None if self.limit is None else epsilon_of(self.mu, self.limit.delta)

    @property
    def mu_left(self) -> float:
        """The largest mu that one further release may cost; 0 without a limit."""
        if self.limit is None:
            return 0.0
        return math.sqrt(max(self.limit.mu**2 - self.mu**2, 0.0))

    @property
    def epsilon_left(self) -> float | None:
        """What one further release may cost, at the limit's delta; None without a limit.

        More than limit minus spent: epsilons of several releases add up to more than their whole.
        """
        return None if self.limit is None else epsilon_of(self.mu_left, self.limit.delta)


class BudgetBook:
    """The book at ``path``, of one brand or several; made with its first entry.

    Safe among processes. What a method returns from is on the disk. Every method raises
    BudgetError for a book that was changed, cut short or is none, and ResourceError where the
    disk refuses or another process does not let go of it.
    """

    def __init__(self, path: Path) -> None:
        self._file = ChainedFile(path, "the budget book", "budget_book")

    @property
    def path(self) -> Path:
        """Where the book stands."""
        return self._file.path

    @property
    def head(self) -> str:
        """Hash of the whole book, hexadecimal; empty before its first entry."""
        return self._file.read().head

    def limit(self, data_set: str, epsilon: float, delta: float) -> Balance:
        """Let the releases of ``data_set`` spend (``epsilon``, ``delta``) together.

        A limit below what was spent stops all further charges; what was spent stays. Raises
        UsageError unless epsilon is above 0 and delta between 0 and 1.
        """
        _require_name("data_set", data_set)
        try:
            mu_of(epsilon, delta)
        except ConfigError as error:
            raise UsageError(
                "this is no limit of privacy",
                value=f"epsilon {epsilon}, delta {delta}",
                limit="epsilon above 0, delta above 0 and below 1",
                fix="for example an epsilon of 1 with a delta of 1e-6",
            ) from error
        with self._file.writing() as entries:
            entries.append({"limit": {"data_set": data_set, "epsilon": epsilon, "delta": delta}})
            return self._balances(entries.documents)[data_set]

    def check(self, charge: Charge) -> Balance:
        """Return what is left if ``charge`` is spent, and spend nothing.

        Raises BudgetError as ``charge`` would: a run is refused before any data set is charged.
        """
        balance = self._balance(self._file.read().documents, charge.data_set)
        if self._charged(balance, charge):
            return balance
        self._require_room(balance, charge)
        return replace(balance, charges=(*balance.charges, charge))

    def charge(self, charge: Charge) -> Balance:
        """Spend ``charge`` of its data set's budget; return what is left.

        Call it before the first byte of the release is sent. The same charge again costs nothing.
        Raises BudgetError, and charges nothing, when the data set has no limit, when the limit
        would be passed, and when the run was charged another amount for that purpose.
        """
        with self._file.writing() as entries:
            balance = self._balance(entries.documents, charge.data_set)
            if self._charged(balance, charge):
                return balance
            self._require_room(balance, charge)
            entries.append({"charge": asdict(charge)})
            return self._balance(entries.documents, charge.data_set)

    def balance(self, data_set: str) -> Balance:
        """Return the balance of ``data_set``, which need not be in the book."""
        return self._balance(self._file.read().documents, data_set)

    def balances(self) -> tuple[Balance, ...]:
        """Return the balance of every data set in the book, by name."""
        found = self._balances(self._file.read().documents)
        return tuple(found[name] for name in sorted(found))

    def _balance(self, documents: tuple[Mapping[str, Any], ...], data_set: str) -> Balance:
        return self._balances(documents).get(data_set) or Balance(data_set, None, ())

    def _balances(self, documents: tuple[Mapping[str, Any], ...]) -> dict[str, Balance]:
        """Return the balance of each data set that ``documents``, oldest first, speak of."""
        limits: dict[str, Limit] = {}
        charges: dict[str, list[Charge]] = {}
        try:
            for document in documents:
                ((kind, fields),) = document.items()
                if kind == "limit":
                    limits[fields["data_set"]] = Limit(fields["epsilon"], fields["delta"])
                else:
                    charges.setdefault(fields["data_set"], []).append(Charge(**fields))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            raise self._file.untrue("an entry has other fields than a book's") from None
        return {
            name: Balance(name, limits.get(name), tuple(charges.get(name, ())))
            for name in limits.keys() | charges.keys()
        }

    def _charged(self, balance: Balance, charge: Charge) -> bool:
        """Whether the same charge was made before; raises BudgetError for another amount."""
        known = {one.key: one for one in balance.charges}.get(charge.key)
        if known is not None and known != charge:
            raise self._another_amount(known, charge)
        return known is not None

    def _require_room(self, balance: Balance, charge: Charge) -> None:
        if balance.limit is None:
            raise BudgetError(
                "the owner of the data set has not said how much privacy it may spend",
                value=charge.data_set,
                looked=str(self.path),
                fix=f"`fed-audience budget {charge.data_set} --epsilon 1 --delta 1e-6` lets it "
                "spend so much over all runs; nothing was sent",
            )
        limit = balance.limit
        together = math.sqrt(math.fsum((balance.mu**2, charge.mu**2)))
        if together > limit.mu * (1 + _ROUNDING):
            asked = epsilon_of(charge.mu, limit.delta)
            raise BudgetError(
                "the privacy budget of the data set does not suffice; nothing was sent",
                value=f"{charge.data_set}: this run costs epsilon {asked:.4g}, a further "
                f"{balance.epsilon_left:.4g} may be spent",
                limit=f"epsilon {limit.epsilon:g} at delta {limit.delta:g} over all runs, of which "
                f"{balance.epsilon:.4g} are spent",
                looked=str(self.path),
                fix="run with a smaller --epsilon, or let the owner raise the limit knowingly; "
                "nothing that was spent comes back",
            )

    def _another_amount(self, known: Charge, charge: Charge) -> BudgetError:
        return BudgetError(
            "a run cannot be charged another amount than before; nothing was sent",
            value=f"{charge.data_set}, run {charge.run_id}, {charge.purpose}: mu {charge.mu:g} at "
            f"delta {charge.delta:g}",
            limit=f"mu {known.mu:g} at delta {known.delta:g}, as it was charged",
            looked=str(self.path),
            fix="give a run with other noise a run id of its own",
        )


def _require_name(what: str, name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise _no_charge(what, repr(name[:LONGEST_NAME]), f"1 to {LONGEST_NAME} characters")


def _no_charge(what: str, value: object, limit: str) -> UsageError:
    return UsageError(
        f"{what} cannot stand in a budget book", value=value, limit=limit, fix="correct it"
    )
