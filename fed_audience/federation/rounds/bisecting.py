"""Finding where wrong numbers come from, by sums over groups of three sites or more.

Under masks nobody sees one site's numbers, and sums that differ by one or two sites would show
them. Disjoint groups of three and more differ from each other, and from all sites, by as many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError
from fed_audience.federation.rounds.sum_checks import BrokenSums
from fed_audience.federation.train import train
from fed_audience.privacy.rounds import MIN_COHORT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.result import TrainingResult
    from fed_audience.federation.transport import RoundTransport

_TWO_GROUPS: Final = 2 * MIN_COHORT


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """Sites that were summed without the others, and what their sums broke; None for nothing."""

    sites: tuple[str, ...]
    broken: BrokenSums | None


def groups_of(sites: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Part ``sites`` into as many groups of three or more as there can be, by name.

    Raises FederationError for fewer than six: of five, one group would have one or two.
    """
    if len(sites) < _TWO_GROUPS:
        raise FederationError(
            "too few sites to be parted into groups of three or more",
            value=len(sites),
            limit=f"at least {_TWO_GROUPS}",
            fix="let each site check its own rows and its version of fed-audience",
        )
    named, groups = sorted(sites), len(sites) // MIN_COHORT
    return tuple(tuple(named[start::groups]) for start in range(groups))


def bisect(transport: RoundTransport, manifest: Manifest) -> tuple[GroupVerdict, ...]:
    """Train ``manifest`` over each group of its sites, and say whose sums break a bound.

    A group is a run of its own, under the run's id and its number. Raises FederationError for
    fewer than six sites, and where only some of them hold labels.
    """
    if manifest.label_sites is not None:
        raise FederationError(
            "sites without labels cannot be told apart by groups",
            value=f"{len(manifest.training_sites)} of {len(manifest.sites)} hold labels",
            fix="let each site check its own rows and its version of fed-audience",
        )
    verdicts = []
    for number, sites in enumerate(groups_of(manifest.sites), start=1):
        run = replace(manifest, run_id=f"{manifest.run_id}-group-{number}", sites=sites)
        broken = None
        try:
            train(transport, run)
        except BrokenSums as error:
            broken = error
        verdicts.append(GroupVerdict(sites, broken))
    return tuple(verdicts)


def train_or_bisect(
    transport: RoundTransport,
    manifest: Manifest,
    *,
    bisecting: bool = True,
    on_event: Callable[[TrainingEvent], None] | None = None,
    threads: int = 1,
) -> TrainingResult:
    """Train ``manifest``; raise an error that names the groups when its sums cannot be right.

    Without ``bisecting`` as ``train`` does.
    """
    try:
        return train(transport, manifest, on_event=on_event, threads=threads)
    except BrokenSums as error:
        if not bisecting:
            raise
        raise _found_by(bisect(transport, manifest), error) from error


def _found_by(verdicts: Sequence[GroupVerdict], first: BrokenSums) -> FederationError:
    """Return the error that names the groups whose sums are wrong; ``first``: of all sites."""
    wrong = [f"({', '.join(one.sites)})" for one in verdicts if one.broken is not None]
    if not wrong:
        return FederationError(
            f"{first.what}; of no group alone",
            value=f"{len(verdicts)} groups of three sites or more",
            fix="train again: a site's rows may have changed during the run",
        )
    return FederationError(
        f"{first.what}; so are those of {' and '.join(wrong)}",
        value=f"{len(wrong)} of {len(verdicts)} groups",
        looked=first.looked,
        fix="let these sites check their rows and their version of fed-audience, or train without "
        "the whole group",
    )
