"""Entries of an audit log in words, one line each."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, cast

from fed_audience.audit import entries as e

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def told(entries: Sequence[e.Entry], *, rounds: bool) -> Iterator[tuple[str, str, str]]:
    """Yield number, instant and words of each entry; ``rounds`` keeps those in a row apart."""
    for _, run in groupby(entries, key=lambda entry: _row(entry, rounds=rounds)):
        group = list(run)
        first, last = group[0], group[-1]
        at = first.at[:19].replace("T", " ")
        if isinstance(first, e.RoundSummed) and not rounds:
            several = cast("list[e.RoundSummed]", group)
            yield f"{first.sequence} to {last.sequence}", at, _rounds(several)
        else:
            yield str(first.sequence), at, words(first)


def words(entry: e.Entry) -> str:  # noqa: C901, PLR0911, PLR0912 - one case an entry type
    """Say in one line what an entry tells."""
    match entry:
        case e.LogOpened():
            process = ", one process held all keys" if entry.one_process else ""
            return f"log opened: coordinator and {len(entry.site_keys)} sites sign{process}"
        case e.LogRecovered():
            return f"recovered after a crash: {entry.bytes_dropped} bytes dropped"
        case e.RunStarted():
            return f"training of {entry.model} ({entry.task}) starts at {', '.join(entry.sites)}"
        case e.PrivacyPromised():
            return (
                f"noise: ({entry.epsilon}, {entry.delta})-private for one row at one site, "
                f"mu {entry.mu}, also if {entry.colluders} sites collude"
            )
        case e.BudgetCharged():
            return (
                f"{entry.site} has spent epsilon {entry.epsilon} of {entry.limit_epsilon} "
                f"at delta {entry.delta}"
            )
        case e.RunResumed():
            return f"training {entry.run} goes on"
        case e.RoundSummed():
            kinds = sorted({one.kind for one in entry.received})
            return (
                f"{entry.kind} -> {', '.join(kinds)} of {len(entry.received)} sites, "
                f"tree {entry.tree}, level {entry.level}, attempt {entry.attempt}"
            )
        case e.SiteDropped():
            return f"{entry.site} did not answer tree {entry.tree}, level {entry.level}"
        case e.Decision():
            return (
                f"training stops ({entry.reason}): {entry.trees_kept} of {entry.trees_grown} "
                "trees kept"
            )
        case e.Overridden():
            return f"{entry.person} overrides {entry.rule} for {entry.subject}: {entry.reason}"
        case e.ModelTrained():
            return f"model {entry.model} {entry.version}, sha256 {entry.model_sha256}"
        case e.ModelRegistered():
            return f"{entry.site} holds the model"
        case e.RunEnded():
            return f"training ended: {entry.status}{f', {entry.error}' if entry.error else ''}"
        case e.Scored():
            return f"{entry.site} scored {entry.customers} customers"
        case e.AudienceBuilt():
            return (
                f"{entry.site} cut {entry.audience} ({entry.purpose}): {entry.chosen} of "
                f"{entry.eligible}"
            )
        case e.AudienceDelivered():
            return (
                f"{entry.site} -> {entry.destination}, {entry.audience}: {entry.status}; "
                f"added {entry.added}, removed {entry.removed}, withdrawn {entry.withdrawn}"
            )
        case e.ProcessingDeclared():
            return f"processing is declared for: {entry.record.purpose}"
        case e.OverlapCompared():
            whom = f"audience {entry.audience}" if entry.audience else "customers"
            return (
                f"{entry.site} {entry.side} how many {whom} it shares with {entry.partner} "
                f"({entry.purpose}, {entry.matched_by}): {entry.listed} compared, query "
                f"{entry.number} of the month"
            )
        case e.OverlapReleased():
            return (
                f"{entry.site} was told what it shares with {entry.partner}: "
                f"{entry.overlap or 'fewer than the threshold'}"
            )
        case _:
            return type(entry).__name__


def _row(entry: e.Entry, *, rounds: bool) -> object:
    if isinstance(entry, e.RoundSummed) and not rounds:
        return entry.run
    return entry.sequence


def _rounds(rounds: Sequence[e.RoundSummed]) -> str:
    sites = sorted({one.site for entry in rounds for one in entry.received})
    return f"{len(rounds)} rounds with {', '.join(sites)}, of {rounds[0].run}"
