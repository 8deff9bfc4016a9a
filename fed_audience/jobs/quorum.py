"""Whether a model's training may start now, with whom, and whom it waits for otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.federation.messages.members import State


@dataclass(frozen=True, slots=True)
class Decision:
    """``sites``: who trains now, sorted; empty while the model waits. ``waits``: site -> for what.

    ``asked``: whether any site has the model queued at all.
    """

    model: str
    sites: tuple[str, ...]
    waits: Mapping[str, str]
    asked: bool


def decide(
    contract: Contract,
    terms: ModelTerms,
    states: Mapping[str, State],
    last: datetime | None,
    now: datetime,
) -> Decision:
    """Decide by the contract: its quorum has matching requests, or its schedule says it is time.

    ``states``: of the connected sites; ``last``: when the last successful run began, naive UTC.
    Without a quorum of its own a model waits for all its sites. Once ``every_days`` have passed
    since the last run, the contract's minimum of sites is enough.
    """
    waits = {
        site: reason
        for site in terms.sites
        if (reason := _lacking(contract, terms.name, states.get(site))) is not None
    }
    ready = tuple(site for site in terms.sites if site not in waits)
    needed = max(terms.quorum or len(terms.sites), contract.minimum_sites)
    due = (
        terms.every_days is not None
        and last is not None
        and now - last >= timedelta(days=terms.every_days)
    )
    enough = len(ready) >= (contract.minimum_sites if due else needed)
    asked = any(offer.model == terms.name for state in states.values() for offer in state.offers)
    return Decision(terms.name, ready if enough and ready else (), waits, asked)


def _lacking(contract: Contract, model: str, state: State | None) -> str | None:
    """Say what keeps a site from this training; None when nothing does."""
    if state is None:
        return "not connected"
    if state.contract_sha256 is None:
        return "has not signed the contract"
    if state.contract_sha256 != contract.sha256:
        return "has signed another contract"
    if state.run is not None:
        return "is in another run"
    offer = next((offer for offer in state.offers if offer.model == model), None)
    if offer is None:
        return "has no training queued"
    return f"is refused: {offer.refused}" if offer.refused else None
