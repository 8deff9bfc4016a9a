"""Which sites a site lets itself be summed with: sizes, changes, and what a tree began with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import (
    MIN_CHANGE,
    MIN_COHORT,
    Round,
    small_groups,
    tolerates_dropouts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fed_audience.privacy.ledger import RunRecord
    from fed_audience.privacy.roster import Roster
    from fed_audience.privacy.run_keys import Override, RunTerms


def tolerant(terms: RunTerms, sites: tuple[str, ...], asked: Round) -> bool:
    """Whether the round may go on without some of ``sites``, and so needs self-masks."""
    return tolerates_dropouts(len(sites), asked) and not terms.fixed_cohort


def check_terms(
    site: str,
    terms: RunTerms,
    roster: Roster,
    accepts: Collection[Override],
    earlier: Sequence[tuple[str, ...]],
) -> None:
    """Raise SecureSumError unless ``site`` may take part under ``terms``.

    ``accepts``: what its owner allows to be set aside. ``earlier``: cohorts that have trained on
    the same rows; the difference of two sums over the same rows must not show one or two sites.
    """
    everyone, training = set(terms.sites), set(terms.training_sites)
    if [list(terms.sites), list(terms.training_sites)] != [sorted(everyone), sorted(training)]:
        raise SecureSumError("wrong_cohort", detail="sites out of order or named twice")
    for one in terms.sites:
        roster.key_of(one)
    if site not in everyone or not training <= everyone:
        raise SecureSumError("unknown_site", detail=site)
    if refused := sorted(set(terms.overrides) - set(accepts)):
        raise SecureSumError("override", detail=", ".join(refused))
    for sites in (everyone, training):
        _check_size(len(sites), terms)
    if 0 < len(everyone - training) < MIN_CHANGE and "small_change" not in terms.overrides:
        others = len(everyone - training)
        raise SecureSumError("small_change", detail=others, limit=f"0, or {MIN_CHANGE} or more")
    check_earlier(terms.training_sites, earlier, terms)


def check_earlier(
    cohort: tuple[str, ...], earlier: Sequence[tuple[str, ...]], terms: RunTerms
) -> None:
    """Raise SecureSumError when sums over ``cohort`` and ``earlier`` ones show one or two sites.

    The difference of a noisy sum and any other hides a customer as well as the noisy sum does.
    """
    if terms.noisy:
        return
    try:
        check_change([cohort, *earlier], terms)
    except SecureSumError as error:
        raise SecureSumError("earlier_cohort", detail=error.value, limit=error.limit) from None


def _check_size(sites: int, terms: RunTerms) -> None:
    allowed = {1: "one_site", 2: "two_sites"}
    if sites < MIN_COHORT and allowed.get(sites) not in terms.overrides:
        raise SecureSumError("small_cohort", detail=sites, limit=f"at least {MIN_COHORT}")


def check_change(cohorts: Sequence[tuple[str, ...]], terms: RunTerms) -> None:
    """Raise SecureSumError when the sums over ``cohorts`` tell one or two sites apart."""
    if "small_change" not in terms.overrides:
        check_groups(cohorts)


def check_groups(cohorts: Sequence[tuple[str, ...]]) -> None:
    """Raise SecureSumError (small_change) unless who differs, differs with two others."""
    if len(set(cohorts)) == 1:
        return
    if groups := small_groups(cohorts):
        raise SecureSumError("small_change", detail=len(groups[0]), limit=f"{MIN_CHANGE} or more")


def check_repeat(record: RunRecord, asked: Round, sites: tuple[str, ...], vector: str) -> None:
    """Raise SecureSumError unless the last round may be answered once more.

    A later attempt takes the same vector, and the signed survivors when there are any, else the
    same sites.
    """
    if asked.attempt < record.attempt:
        raise SecureSumError("replayed", detail=asked.attempt, limit=record.attempt)
    if vector != record.vector:
        raise SecureSumError("changed_vector", detail=asked.position)
    if asked.attempt == record.attempt:
        if sites != record.cohort:
            raise SecureSumError("wrong_cohort", detail=asked.position)
    elif record.survivors and sites != record.survivors:
        raise SecureSumError("two_survivor_sets", detail=asked.position)
    elif not record.survivors and sites != record.cohort:
        raise SecureSumError("wrong_cohort", detail=asked.position)


def check_cohort(record: RunRecord, terms: RunTerms, asked: Round, sites: tuple[str, ...]) -> None:
    """Raise SecureSumError unless a new round may take ``sites``.

    A tree keeps its sites; until the first tree is done they are those of the terms. A later tree
    begins with the sites that the last one ended with, or more: who leaves, leaves at a root, with
    the signatures of two thirds. A coordinator that could name any smaller set would name one of
    its friends and a victim.
    """
    if asked.tree <= 0 or terms.fixed_cohort:
        allowed = {terms.training_sites} | ({terms.sites} if asked.tree < 0 else set())
    elif asked.tree == record.tree:
        allowed = {record.survivors or record.cohort}
    else:
        training, last = set(terms.training_sites), set(record.survivors or record.cohort)
        allowed = {sites} if last & training <= set(sites) <= training else set()
    if sites not in allowed:
        raise SecureSumError("wrong_cohort", detail=asked.position)
    _check_size(len(sites), terms)
    if asked.tree > 0:
        check_change([*record.opened, sites], terms)


def joined(
    cohorts: tuple[tuple[str, ...], ...], cohort: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return ``cohorts`` with ``cohort`` among them."""
    return cohorts if cohort in cohorts else (*cohorts, cohort)
