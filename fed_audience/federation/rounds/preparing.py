"""Before the first tree: every site opens the run, the sites agree on keys and on bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, DataError, FederationError
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.journal_records import Preparation
from fed_audience.federation.messages.payload import bins_to_arrays
from fed_audience.federation.result import RowCounts
from fed_audience.federation.rounds.binning import BinningRounds
from fed_audience.federation.rounds.key_agreement import agree_on_keys
from fed_audience.federation.rounds.protection import Protection
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.objectives import Objective

MAX_LEVEL_BYTES: Final = 2**29
"""Most bytes that a site may have to send for one level of the trees that grow together."""


class Preparing:
    """The rounds before the first tree, at the coordinator."""

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        on_event: Callable[[e.TrainingEvent], None],
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._on_event = on_event

    def open(self) -> None:
        """Agree on manifest and keys.

        Raises FederationError when a site refuses, or holds another key.
        """
        manifest = self._manifest
        self._open_run()
        if manifest.secure and len(manifest.sites) > 1:
            agree_on_keys(self._coordinator, manifest)
        for weakness in Protection.of(manifest).weaknesses():
            self._on_event(e.SiteWarning("", weakness))

    def run(self) -> Preparation:
        """Agree the bins with the sites.

        Raises DataError when the rows of all sites cannot be learnt from, ConfigError when a level
        of the trees would be too large a message.
        """
        manifest = self._manifest
        binning = BinningRounds(self._coordinator, manifest, self._on_event)
        bins = binning.run()
        objective = objective_of(
            manifest.parameters, label_cap=binning.label_cap, weight_cap=manifest.weight_cap
        )
        level_bytes = self._level_bytes(bins, objective)
        sums = self._fix_bins(bins, binning, objective)
        ready = Preparation(
            bins,
            binning.label_cap,
            (int(sums[0]), int(sums[1]), int(sums[2])),
            sums[3:],
            binning.rows_by_slot(),
            level_bytes,
        )
        self._check_rows(ready, binning)
        self._coordinator.journal.prepared(ready, self._coordinator.books)
        return ready

    def _open_run(self) -> None:
        """Give every site the manifest; stop when they do not hold the same category key."""
        manifest = self._manifest
        slot = self._coordinator.slot(m.PREPARATION, 0)
        request = m.OpenRun(slot=slot, manifest=manifest.to_json())
        opened = self._coordinator.ask(request, manifest.sites, m.RunOpened)
        for site, reply in opened.items():
            if reply.manifest_sha256 != manifest.sha256:
                raise FederationError(
                    f"site {site} read another manifest",
                    value=reply.manifest_sha256,
                    limit=manifest.sha256,
                    fix="run the same version of fed-audience at the coordinator and every site",
                )
        if len({reply.category_check for reply in opened.values()}) > 1:
            raise FederationError(
                "the sites hash categories with different keys",
                value=", ".join(f"{s}: {r.category_check}" for s, r in sorted(opened.items())),
                fix="give every site the same category key",
            )
        self._on_event(e.RunOpened(tuple(manifest.sites)))
        for site, reply in opened.items():
            self._warn(site, reply)

    def _warn(self, site: str, reply: m.RunOpened) -> None:
        for note in reply.notes:
            self._on_event(e.SiteWarning(site, note.replace("_", " ") + " to train with"))
        for index in reply.missing_features:
            if index >= len(self._manifest.features):
                raise FederationError(f"site {site} lacks a feature that the run has not")
            name = self._manifest.features[index].name
            self._on_event(
                e.SiteWarning(site, f"feature {name} is missing; its values are missing")
            )

    def _fix_bins(
        self, bins: tuple[FeatureBins, ...], binning: BinningRounds, objective: Objective
    ) -> NDArray[np.int64]:
        """Let the training sites encode their rows; return what they count together."""
        slot = self._coordinator.slot(m.PREPARATION, binning.rounds + 1)
        request = m.FixBins(slot=slot, label_cap=binning.label_cap, **bins_to_arrays(bins))
        return self._coordinator.sum(
            request, self._manifest.training_sites, m.LabelCounts, 3 + objective.sums_size
        )

    def _check_rows(self, ready: Preparation, binning: BinningRounds) -> None:
        manifest, counts = self._manifest, RowCounts(*ready.counts)
        if counts.rows > manifest.parameters.row_cap:
            raise DataError(
                "the sites together have more training rows than row_cap",
                value=counts.rows,
                limit=manifest.parameters.row_cap,
                fix="raise row_cap: it fixes the scale of the gradients before the first row",
            )
        if counts.rows == 0:
            raise DataError(
                "there are no training rows at any site",
                looked=", ".join(manifest.training_sites),
                fix="check the training tables: consent and cutoff may leave no row",
            )
        if manifest.parameters.early_stopping_round and not counts.validation_rows:
            self._on_event(e.SiteWarning("", "no validation rows, so every tree is kept"))
        if manifest.label_sites is None and binning.rows > counts.rows:
            raise FederationError(
                "the sites counted more values than they have training rows",
                value=binning.rows,
                limit=counts.rows,
                fix="start the run again; a site's rows must not change while it trains",
            )

    def _level_bytes(self, bins: tuple[FeatureBins, ...], objective: Objective) -> int:
        """Bytes of the widest level of all trees together. Raises ConfigError for too many."""
        parameters = self._manifest.parameters
        # Of two siblings one is built, and the deepest nodes never are.
        nodes = max(1, min(1 << max(parameters.max_depth - 2, 0), parameters.num_leaves // 2))
        if parameters.leaves_per_round:
            nodes = min(nodes, parameters.leaves_per_round)
        most = objective.classes * nodes * SlotLayout.from_bins(bins).slots * 16
        if most > MAX_LEVEL_BYTES:
            raise ConfigError(
                "a level of the trees would be too large a message",
                value=f"{most / 2**20:,.0f} MiB ({objective.classes} trees of {nodes} nodes)",
                limit=f"{MAX_LEVEL_BYTES / 2**20:,.0f} MiB",
                fix="lower max_depth, num_leaves or max_bin, or merge classes",
            )
        return most
