"""The set of survivors of a root round: announced once, signed by each of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import MIN_CHANGE, quorum
from fed_audience.privacy.statements import cohort_hash, statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.privacy.roster import Roster
    from fed_audience.privacy.rounds import Round


@lru_cache(maxsize=16)  # every survivor of one process asks for the same
def survivors_text(
    asked: Round, cohort: tuple[str, ...], survivors: tuple[str, ...], transcript: str
) -> bytes:
    """Return what each survivor signs. ``transcript``: hash of the run's key cards."""
    return statement(
        "survivors",
        run=asked.run,
        tree=asked.tree,
        level=asked.level,
        attempt=asked.attempt,
        cohort=cohort_hash(cohort),
        transcript=transcript,
        survivors=list(survivors),
    )


def check_survivors(cohort: tuple[str, ...], survivors: tuple[str, ...]) -> None:
    """Raise SecureSumError unless ``survivors`` are enough of ``cohort`` to go on with.

    Two thirds and one: two different sets would share an honest site while at most a third of
    the cohort colludes, and an honest site signs one. Who drops out drops out with two others.
    """
    if list(survivors) != sorted(set(survivors)) or not set(survivors) <= set(cohort):
        raise SecureSumError("wrong_cohort", detail="survivors outside the round's sites")
    if len(survivors) < quorum(len(cohort)):
        raise SecureSumError("no_quorum", detail=len(survivors), limit=quorum(len(cohort)))
    dropped = len(cohort) - len(survivors)
    if 0 < dropped < MIN_CHANGE:
        raise SecureSumError("small_change", detail=dropped, limit=MIN_CHANGE)


def check_signatures(
    survivors: tuple[str, ...], signatures: Mapping[str, bytes], text: bytes, roster: Roster
) -> None:
    """Raise SecureSumError unless every survivor, and nobody else, signed ``text``."""
    if signatures.keys() != set(survivors):
        missing = sorted(set(survivors) ^ signatures.keys())
        raise SecureSumError("unsigned_set", detail=", ".join(missing))
    for site in survivors:
        check_signature(site, roster.key_of(site), signatures[site], text)
