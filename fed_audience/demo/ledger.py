"""The consent ledger of a brand: words, batches of events, and the raw table. All generated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.columns import AS_OF_US, DAY, NEVER, SECOND, column, instants, table, words
from fed_audience.demo.customers import CRM, SYSTEMS
from fed_audience.demo.draws import happens
from fed_audience.demo.people import COUNTRIES, REGIONS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.demo.columns import Column
    from fed_audience.demo.customers import Customers, Identities
    from fed_audience.demo.people import People
    from fed_audience.demo.settings import Brand

PURPOSES: Final = (
    "collect",
    "profile",
    "train",
    "share_model",
    "activate:email",
    "activate:ads",
    "share_partner",
)
COLLECT, PROFILE, TRAIN, SHARE_MODEL, EMAIL, ADS, PARTNER = range(7)
STATUSES: Final = ("granted", "denied", "withdrawn", "expired", "unknown")
GRANTED, DENIED, WITHDRAWN, EXPIRED, UNKNOWN = range(5)
METHODS: Final = (
    "registration_form",
    "renewal_campaign",
    "cookie_banner",
    "app_dialog",
    "preference_centre",
    "unsubscribe_link",
    "nightly_job",
)
FORM, RENEWAL, BANNER, DIALOG, CENTRE, UNSUBSCRIBE, NIGHTLY = range(7)
BASES: Final = ("consent", "contract", "legitimate_interest")
JURISDICTIONS: Final = ("EU", "UK", "US", "US-CA", "CH", "ZZ")
POLICIES: Final = ("2023-1", "2025-1", "2026-1")
POLICY_CHANGES: Final = (AS_OF_US - 640 * DAY, AS_OF_US - 270 * DAY)


@dataclass(slots=True)
class Ledger:
    """Consent events collected batch by batch; every array is as long as its batch."""

    identities: Identities
    parts: list[dict[str, NDArray[np.int64]]] = field(default_factory=list)

    def add(
        self,
        identity: NDArray[np.int64],
        purpose: NDArray[np.int64] | int,
        status: NDArray[np.int64] | int,
        at: NDArray[np.int64],
        method: int,
        **others: NDArray[np.int64],
    ) -> None:
        """Record that each identity (a row of ``identities``) said ``status`` at ``at``.

        ``others`` may hold ``effective`` (default ``at``), ``recorded`` (default two seconds
        after it) and ``expires`` (default never). What is recorded after the as-of is dropped.
        """
        self._keep(
            {
                "identity": identity,
                "purpose": np.broadcast_to(purpose, identity.shape),
                "status": np.broadcast_to(status, identity.shape),
                "effective": others.get("effective", at),
                "recorded": others.get("recorded", at + 2 * SECOND),
                "expires": others.get("expires", np.full(identity.shape, NEVER)),
                "method": np.full(identity.shape, method),
            }
        )

    def deliver_again(self, again: NDArray[np.bool_], delay: NDArray[np.int64]) -> None:
        """Record the events marked in ``again`` a second time, each later by its ``delay``."""
        copies = {name: self.column(name)[again] for name in self.parts[0]}
        copies["recorded"] = copies["recorded"] + delay
        self._keep(copies)

    def column(self, name: str) -> NDArray[np.int64]:
        """Return one column over all batches."""
        return np.concatenate([part[name] for part in self.parts])

    @property
    def size(self) -> int:
        """How many events."""
        return sum(part["identity"].size for part in self.parts)

    def _keep(self, part: dict[str, NDArray[np.int64]]) -> None:
        known = part["recorded"] < AS_OF_US - SECOND
        self.parts.append({name: values[known] for name, values in part.items()})


def ledger_table(
    brand: Brand, customers: Customers, ledger: Ledger, rng: np.random.Generator
) -> pa.Table:
    """Return raw ``consent_events``; what browsers and apps say carries their own time."""
    identity, purpose, status = (ledger.column(n) for n in ("identity", "purpose", "status"))
    recorded, method = ledger.column("recorded"), ledger.column("method")
    size = identity.size
    system = ledger.identities.system[identity]
    owner = ledger.identities.customer[identity]
    basis = np.where((purpose == COLLECT) & (method == FORM), 1, 0)
    basis = np.where((purpose == EMAIL) & happens(rng, 0.03, size), 2, basis)
    loaded = np.minimum(recorded + rng.integers(1, 300, size) * SECOND, AS_OF_US - SECOND)
    return table(
        {
            "source_system": words(system, SYSTEMS),
            "source_id": ledger.identities.source_ids.take(column(identity)),
            "purpose": words(purpose, PURPOSES),
            "status": words(status, STATUSES),
            "legal_basis": words(basis, BASES),
            "jurisdiction": words(_jurisdictions(customers.people, rng)[owner], JURISDICTIONS),
            "effective_at": instants(ledger.column("effective")),
            "recorded_at": instants(recorded),
            "expires_at": instants(ledger.column("expires")),
            "time_trust": words((system != CRM).astype(np.int64), ("server", "client")),
            "is_minor": _minority(customers, owner, rng),
            "method": words(method, METHODS),
            "policy_version": words(np.searchsorted(POLICY_CHANGES, recorded), POLICIES),
            "evidence_ref": words(method, [f"{name}/v2" for name in METHODS]),
            "raw_signal": words(status, [f'{{"choice": "{name}"}}' for name in STATUSES]),
        },
        loaded=loaded,
        source="consent",
        key=("consent_event_id", f"{brand.name[0]}c-"),
    )


def _jurisdictions(people: People, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the jurisdiction of each customer; of 3 % it is not known."""
    of_country = {"GB": "UK", "US": "US", "CH": "CH"}
    codes = np.array([JURISDICTIONS.index(of_country.get(name, "EU")) for name in COUNTRIES])
    in_california = (people.country == COUNTRIES.index("US")) & (
        people.region == REGIONS["US"].index("CA")
    )
    found = np.where(in_california, JURISDICTIONS.index("US-CA"), codes[people.country])
    return np.where(happens(rng, 0.03, people.size), JURISDICTIONS.index("ZZ"), found)


def _minority(customers: Customers, owner: NDArray[np.int64], rng: np.random.Generator) -> Column:
    """Return whether the speaker is a minor; 6 % never say, others not every time."""
    silent = happens(rng, 0.06, customers.size)
    unsaid = silent[owner] | happens(rng, 0.15, owner.size)
    return column(customers.people.is_minor[owner], unsaid)
