"""What a site keeps over its private runs: the budget of its rows, and what it released."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fed_audience.federation.private.recipe import plan_of
from fed_audience.privacy.budget import Charge
from fed_audience.privacy.dp.releases import Releases

if TYPE_CHECKING:
    from fed_audience.federation.manifest import Manifest
    from fed_audience.privacy.budget import BudgetBook


@dataclass(frozen=True, slots=True)
class PrivacyKeeper:
    """The budget and the releases of one site's rows.

    ``book``: its budget, charged before a run's first vector; None only where whoever runs the
    process holds all rows anyway. ``data_set``: what the rows are called in it. ``releases``: the
    noisy vectors that were sent.
    """

    book: BudgetBook | None = None
    data_set: str = ""
    releases: Releases = field(default_factory=Releases)

    def require_room(self, manifest: Manifest) -> None:
        """Raise BudgetError unless the whole of ``manifest``'s run can be paid; spend nothing."""
        if self.book is not None:
            self.book.check(self._charge_of(manifest))

    def charge(self, manifest: Manifest) -> None:
        """Spend the whole run's budget, once; it is never given back. Raises BudgetError."""
        if self.book is not None:
            self.book.charge(self._charge_of(manifest))

    def _charge_of(self, manifest: Manifest) -> Charge:
        plan = plan_of(manifest)
        # Another manifest under the same run id is another release, and charged as one.
        purpose = f"training {manifest.sha256[:16]}"
        return Charge(self.data_set, manifest.run_id, purpose, plan.mu, plan.terms.delta)
