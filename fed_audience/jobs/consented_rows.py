"""A brand's training rows as a run reads them: each time with consent as of that moment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fed_audience.federation import ArrowSource
from fed_audience.jobs.own_copies import with_brand
from fed_audience.jobs.participants import Participant, labelled_participant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.federation import Manifest
    from fed_audience.federation.contract.terms import ModelTerms
    from fed_audience.jobs.rows import SiteRows
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest


FRESH: Final = timedelta(minutes=5)
"""How long after they were read the rows of a run may be handed to it."""


def training_rows(
    rows: SiteRows, manifest: Manifest, holdout_fraction: float, *, branded: bool = True
) -> pa.Table:
    """Return those of ``rows`` that train, not those held out.

    ``branded``: with their brand, where it counts in the run.
    """
    private = manifest.privacy is not None
    seed = manifest.parameters.seed
    training, _ = rows.split(manifest.row_key, holdout_fraction, seed, by_the_site=private)
    return with_brand(training, rows.site) if branded and manifest.brand else training


class ConsentedRows:
    """Source of one run's rows at one brand. ``clock`` gives naive UTC.

    ``participant``: what was read last, held-out rows included. The first reading serves the
    checks before the run and its opening, if that follows within ``FRESH``; every later one asks
    the warehouse again, so that a run that begins late, or goes on after an interruption, meets
    each withdrawal. ``whole``: features are in it too.
    """

    whole = True

    def __init__(
        self,
        site: Site,
        request: TrainingRequest,
        manifest: Manifest,
        terms: ModelTerms,
        clock: Callable[[], datetime],
    ) -> None:
        self.request = request
        self._site = site
        self._manifest = manifest
        self._terms = terms
        self._clock = clock
        self._fresh_until = clock() + FRESH
        self._training: pa.Table | None = None
        self.participant = self._read()

    def training(self) -> pa.Table:
        """Return the rows that train, not those held out; with their brand where it counts."""
        if self._training is None:
            self._training = training_rows(
                self.participant.rows, self._manifest, self._terms.holdout_fraction
            )
        return self._training

    def as_table(self) -> pa.Table:
        """Hand the program its rows, read anew unless nobody has had them yet."""
        if self._clock() >= self._fresh_until:
            self.participant, self._training = self._read(), None
        # Of a run with noise the program holds rows out itself, and measures them with noise.
        private = self._manifest.privacy is not None
        table = self.participant.rows.table if private else self.training()
        self._fresh_until, self._training = self._clock(), None
        return table

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of ``as_table``."""
        yield from ArrowSource(self.as_table()).batches()

    @property
    def source(self) -> ConsentedRows:
        """What the program trains from."""
        return self

    def sample(self) -> pa.Table:
        """Return rows by which to know the features' distributions: all of them."""
        return self.participant.rows.table

    def close(self) -> None:
        """Do nothing: the rows go with the run."""

    def _read(self) -> Participant:
        return labelled_participant(
            self._site, self.request, self._manifest.model_name, self._clock()
        )
