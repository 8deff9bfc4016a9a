"""The sites that the trees are summed over, and what becomes of them when one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.federation.events import SiteWarning
from fed_audience.federation.rounds.root_opening import RootOpening
from fed_audience.federation.site.keys import round_of
from fed_audience.privacy.cohorts import check_groups
from fed_audience.privacy.masks import RING_64, Ring
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import tolerates_dropouts
from fed_audience.privacy.survivors import check_survivors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation import messages as m
    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.lasting.journal_records import FinishedTrees
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator


class Cohort:
    """The training sites of a run, less those that left it.

    ``sites``: sorted. A round takes all of them, but for the roots of later trees from ten sites
    on: three or more may leave there together while two thirds and one stay. The rules are the
    same for sums without masks, so that a run does not depend on them.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        on_event: Callable[[TrainingEvent], None] = lambda _: None,
        *,
        sites: Sequence[str] | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._on_event = on_event
        self._journal = coordinator.journal
        self._opening = RootOpening(coordinator, manifest)
        self.sites = tuple(sorted(sites or manifest.training_sites))
        self._summed = [self.sites]

    def slot(self, tree: int, level: int) -> m.Slot:
        """Name a round of the run."""
        return self._coordinator.slot(tree, level)

    def sum(
        self, request: m.Request, kind: type[m.VectorReply], size: int, ring: Ring = RING_64
    ) -> NDArray[np.int64]:
        """Sum what the sites answer, int64[size]; who may leave and does not answer has left.

        Raises SiteMissing when the round cannot do without a site that does not answer.
        """
        absent = self._absent()
        request = request.model_copy(update={"absent": absent})
        if self._manifest.fixed_cohort or not tolerates_dropouts(
            len(self.sites), round_of(request.slot)
        ):
            return self._coordinator.sum(request, self.sites, kind, size, ring)
        known = self._coordinator.recall(request)
        if known.sums is not None:
            self._go_on_with(known.survivors)
            return known.sums
        if self._manifest.secure:
            self._opening.leave_shares(request.slot, self.sites, absent)
        # A set that sites were asked to sign before an interruption is the only one they sign.
        asked = known.survivors or self.sites
        total, silent = self._coordinator.add(request, asked, kind, size, ring)
        if known.survivors and silent:
            raise self._coordinator.missing(silent, "the set of survivors is signed already")
        survivors = known.survivors or self._survivors(silent)
        if not known.survivors:
            self._journal.choose(survivors)
        if self._manifest.secure:
            sums = self._opening.opened(request.slot, total, self.sites, survivors, absent)
        else:
            sums = total.total()
        self._journal.summed(sums, self._coordinator.books)
        self._go_on_with(survivors)
        return sums

    def finished(self, number: int) -> FinishedTrees | None:
        """Return round ``number`` of trees when it was finished before an interruption."""
        return self._journal.trees(number)

    def keep(self, trees: FinishedTrees) -> None:
        """Keep finished trees before a site is told of them."""
        self._journal.finish(trees, self._coordinator.books)

    def restore(self, sites: tuple[str, ...]) -> None:
        """Take over the sites that a finished tree was summed over."""
        if sites != self.sites:
            self.sites = sites
            self._summed.append(sites)

    def _go_on_with(self, survivors: tuple[str, ...]) -> None:
        if silent := sorted(set(self.sites) - set(survivors)):
            self.restore(survivors)
            text = (
                f"no answer from {', '.join(silent)}: the trees go on with {len(survivors)} sites"
            )
            self._on_event(SiteWarning("", text))

    def _absent(self) -> tuple[int, ...]:
        gone = set(self._manifest.training_sites) - set(self.sites)
        return tuple(i for i, site in enumerate(self._manifest.sites) if site in gone)

    def _survivors(self, silent: Sequence[str]) -> tuple[str, ...]:
        survivors = tuple(site for site in self.sites if site not in silent)
        try:
            check_survivors(self.sites, survivors)
            check_groups([*self._summed, survivors])
        except SecureSumError as error:
            why = f"{error.reason}: {error.what}"
            raise self._coordinator.missing(silent, why) from None
        return survivors
