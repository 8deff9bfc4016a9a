"""One worker's share of a site's rows: the site's own computation on some of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from fed_audience.federation import messages as m
from fed_audience.federation.explaining import codes_at, contributions_of
from fed_audience.federation.lasting.frozen_rows import check_frozen, identities
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.row_roles import plain_column
from fed_audience.federation.site.rows import read_rows
from fed_audience.federation.site.run import SiteRun, SiteVector
from fed_audience.federation.site.steps import to_the_end
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.models.predictor import Predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation.own_copies import OwnCopies
    from fed_audience.federation.site.row_facts import RowFacts
    from fed_audience.federation.site.source import RowSource

    Integers = NDArray[np.int64]


class RowShare:
    """Answers the site's own process about some of its rows; every answer is of sums.

    Requests come as the bytes that the coordinator sent. Sums are added there, masks and noise are
    laid on there, and keys, books and checkpoints never come here.
    """

    def __init__(self, source: RowSource, category_key: bytes, threads: int = 1) -> None:
        self._source = source
        self._category_key = category_key
        self._team = team_of(threads)
        self._opened: tuple[Manifest, SiteRun] | None = None

    def open(
        self,
        manifest: str,
        labelled: bool,  # noqa: FBT001 - arguments travel by position
        frozen: NDArray[np.uint64] | None,
        all_here: bool,  # noqa: FBT001 - the same
    ) -> tuple[RowFacts, NDArray[np.uint64]]:
        """Read the share for a run; return what it is like, and the identities of its rows.

        ``frozen``: identities that the run began with, of this share alone if ``all_here``.
        """
        self._opened = None
        agreed = Manifest.from_json(manifest)
        rows = read_rows(
            agreed,
            self._source,
            self._category_key,
            labelled=labelled,
            identified=True,
            frozen=frozen,
            share=not all_here,
            team=self._team,
        )
        self._opened = agreed, SiteRun(agreed, rows, labelled=labelled, team=self._team)
        return rows.facts, cast("NDArray[np.uint64]", rows.identities)

    def check_frozen(self, frozen: NDArray[np.uint64]) -> None:
        """Read the source again; raise Refusal (withdrawn) when a row of the share is gone."""
        check_frozen(self._source, self._manifest, frozen)

    def keys_of(self, wanted: NDArray[np.uint64]) -> list[tuple[str, str]]:
        """Read the source again for the keys and brands behind the identities ``wanted``."""
        manifest = self._manifest
        found: list[tuple[str, str]] = []
        for batch in self._source.batches():
            rows = pa.Table.from_batches([batch])
            rows = rows.filter(pa.array(np.isin(identities(rows, manifest), wanted)))
            keys = _texts(rows, manifest.row_key)
            branded = manifest.brand is not None and manifest.brand in rows.column_names
            brands = _texts(rows, cast("str", manifest.brand)) if branded else [""] * len(keys)
            found += zip(keys, brands, strict=True)
        return found

    def compute(self, body: bytes) -> SiteVector:
        """Answer a request from this share's rows."""
        return to_the_end(self._run.compute(m.decode_request(body)))

    def replay(self, body: bytes, whole: bool) -> None:  # noqa: FBT001 - as above
        """Come to where a request left the run; ``whole`` as in ``SiteRun.replay``."""
        self._run.replay(m.decode_request(body), whole=whole)

    def digest(self) -> bytes:
        """Hash of what the learner sees of the share's rows, whatever their order."""
        return self._run.rows_digest

    def brand_sums(self) -> dict[str, Integers]:
        """Label sums of each brand with rows here; empty where brands have no base scores."""
        brands = self._copies.brands
        return {} if brands is None else dict(zip(brands.column.names, brands.sums, strict=True))

    def take_brand_sums(self, sums: dict[str, Integers]) -> None:
        """Let brands start from the label sums that all shares have of them."""
        brands = self._copies.brands
        if brands is not None:
            brands.sums = tuple(sums[name] for name in brands.column.names)

    def brand_bases(self) -> dict[str, tuple[float, ...]]:
        """Return base scores of the brands with rows here, once trees have begun to grow."""
        brands = self._copies.brands
        return {} if brands is None else dict(zip(brands.column.names, brands.bases, strict=True))

    def leaf_cover(self, body: bytes, places: Integers) -> list[NDArray[np.float64]]:
        """Rows among ``places`` in each leaf of an ExplainRows's model: float64[leaves] a tree."""
        model = self._run.model_of(cast("m.ExplainRows", m.decode_request(body)))
        return Predictor.of(model).leaf_cover(self._codes(places))

    def contributions(self, body: bytes, places: Integers) -> Integers:
        """Sum the contributions of the rows at ``places`` as an ExplainRows asks."""
        request = cast("m.ExplainRows", m.decode_request(body))
        model = self._run.model_of(request)
        codes = self._codes(places)
        return contributions_of(request, model, codes, self._manifest, self._team.threads)

    def _codes(self, places: Integers) -> NDArray[np.uint8]:
        return codes_at(self._copies.booster.rows, places)

    @property
    def _copies(self) -> OwnCopies:
        return self._run.own_copies()

    @property
    def _manifest(self) -> Manifest:
        return self._here[0]

    @property
    def _run(self) -> SiteRun:
        return self._here[1]

    @property
    def _here(self) -> tuple[Manifest, SiteRun]:
        if self._opened is None:
            raise Refusal("no_run", detail="this worker has read no rows")
        return self._opened


def _texts(table: Any, name: str) -> list[str]:
    texts: list[str] = plain_column(table, name).cast(pa.large_string()).to_pylist()
    return texts
