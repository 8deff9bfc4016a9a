"""Consent as the engine asks for it: who may be sent for this purpose, and which rule said no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_CHUNK = 20_000
NO_DECISION = "no decision"


class Verdict(Protocol):
    """One person's consent for one purpose, and the rule that decided."""

    @property
    def allowed(self) -> bool:
        """Whether the person may be used for the purpose."""
        ...

    @property
    def rule(self) -> str:
        """The rule that decided."""
        ...


class Gate(Protocol):
    """Reads the live consent ledger; raises ConsentError when it cannot be trusted."""

    def allowed(
        self, subject_ids: Sequence[str], purpose: str, as_of: datetime
    ) -> Mapping[str, Verdict]:
        """Decide for each subject as of ``as_of`` (naive UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class Consent:
    """The denied among those asked for, with the rule that denied each."""

    denied: Mapping[str, str]

    def allows(self, customer_id: str) -> bool:
        """Tell whether the customer, who was among those asked for, may be sent."""
        return customer_id not in self.denied


def ask(gate: Gate, customer_ids: Sequence[str], purpose: str, as_of: datetime) -> Consent:
    """Ask the gate in chunks. Whoever it does not answer for, or not with True, is denied."""
    denied: dict[str, str] = {}
    for start in range(0, len(customer_ids), _CHUNK):
        chunk = customer_ids[start : start + _CHUNK]
        verdicts = gate.allowed(chunk, purpose, as_of)
        for customer in chunk:
            verdict = verdicts.get(customer)
            if verdict is None:
                denied[customer] = NO_DECISION
            elif verdict.allowed is not True:
                denied[customer] = verdict.rule or NO_DECISION
    return Consent(denied)
