"""The program that runs beside a brand's rows: bytes in, sums out."""

from __future__ import annotations

import hmac
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import DataError, FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.brand_scores import BrandScores, validation_scores
from fed_audience.federation.explaining import explained_rows
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.own_copies import OwnCopies
from fed_audience.federation.payload import (
    bins_from_message,
    features_from_message,
    leaves_from_message,
    nodes_from_array,
    splits_from_message,
    trees_from_message,
)
from fed_audience.federation.refusal import Refusal
from fed_audience.federation.site_rows import SiteRows, read_rows
from fed_audience.gbdt.booster import BinnedRows, RowBooster
from fed_audience.gbdt.model import Model
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Vector = tuple[type[m.VectorReply], NDArray[np.int64]]

    from fed_audience.federation.source import RowSource
    from fed_audience.gbdt.bins import FeatureBins

_LOG: Final = logging.getLogger(__name__)
_NO_RUN: Final = m.Slot(run="-", tree=m.PREPARATION, level=0)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was released for the last slot, so that it can be released again."""

    slot: m.Slot
    request: bytes
    kind: type[m.VectorReply]
    values: NDArray[np.int64]
    body: bytes


@dataclass(slots=True)
class _Run:
    """State of one run at the site; phases fill it from top to bottom."""

    manifest: Manifest
    opening: bytes
    opened: bytes
    rows: SiteRows | None
    bins: tuple[FeatureBins, ...] = ()
    booster: RowBooster | None = None
    brands: BrandScores | None = None
    groups: NDArray[np.uint64] | None = None
    drawn: NDArray[np.int64] | None = None
    answer: _Answer | None = None


class SiteProgram:
    """Answers the coordinator's requests about the rows of one site.

    ``category_key``: secret of the sites for hashing categories; the coordinator lacks it.
    ``min_rows``: refuse to train with fewer. ``threads`` bounds the threads of the kernels.
    ``warnings`` tell the site's own staff, in full words, what was unusual about its rows.

    Every round is idempotent: the same request gives the same bytes, an earlier round or a
    changed one is refused. Every vector leaves through ``_release`` and nowhere else.
    """

    def __init__(
        self,
        name: str,
        source: RowSource,
        category_key: bytes,
        *,
        min_rows: int = 0,
        threads: int = 1,
    ) -> None:
        self.name = name
        self.warnings: list[str] = []
        self._source = source
        self._category_key = category_key
        self._min_rows = min_rows
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, f"site-{name}") if threads > 1 else None
        self._run: _Run | None = None
        self._busy = threading.Lock()

    def handle(self, body: bytes) -> bytes:
        """Answer one request. What the site refuses is a reply too, with a named reason.

        A request that arrives again while it is being answered waits for that answer.
        """
        with self._busy:
            return self._handle(body)

    def own_copies(self) -> OwnCopies:
        """Make what this site alone keeps of a training that has ended; nothing of it leaves."""
        if (run := self._run) is None:
            raise FederationError(f"site {self.name} has trained no model to make its own")
        return OwnCopies(run.manifest, run.bins, _booster(run), run.brands, run.groups)

    def _handle(self, body: bytes) -> bytes:
        slot = _NO_RUN
        try:
            try:
                request = m.decode_request(body)
            except FederationError as error:
                raise Refusal("bad_message", detail=error) from error
            slot = request.slot
            if isinstance(request, m.OpenRun):
                return self._open(request, body)
            return self._answer(request, body)
        except Refusal as refusal:
            _LOG.warning("site %s refused a request: %s", self.name, refusal)
            return m.encode(m.Refused(slot=slot, reason=refusal.reason, column=refusal.column))

    def _release(self, kind: type[m.VectorReply], values: NDArray[np.int64], slot: m.Slot) -> bytes:
        """Turn a vector of ring elements into the bytes that leave: the only way out.

        ``values``: int64[n], read as elements of the ring modulo 2^64.
        """
        return m.encode(kind(slot=slot, values=values))

    def _open(self, request: m.OpenRun, body: bytes) -> bytes:
        if self._run is not None and self._run.opening == body:
            return self._run.opened
        try:
            manifest = Manifest.from_json(request.manifest)
        except FederationError as error:
            raise Refusal("bad_manifest", detail=error) from error
        if self.name not in manifest.sites:
            raise Refusal("not_in_roster", detail=self.name)
        if request.slot.run != manifest.run_id:
            raise Refusal("wrong_run")
        labelled = self.name in manifest.training_sites
        rows = read_rows(manifest, self._source, self._category_key, labelled=labelled)
        if rows.rows < self._min_rows:
            raise Refusal("too_few_rows", detail=f"{rows.rows}, at least {self._min_rows}")
        if rows.training_rows > manifest.parameters.row_cap:
            raise Refusal("too_many_rows", detail=rows.training_rows)
        self.warnings = _warnings(manifest, rows)
        for warning in self.warnings:
            _LOG.warning("site %s: %s", self.name, warning)
        categorical = any(feature.categorical for feature in manifest.features)
        opened = m.encode(
            m.RunOpened(
                slot=request.slot,
                manifest_sha256=sha256(request.manifest.encode()).hexdigest(),
                category_check=self._category_check(manifest.run_id) if categorical else "",
                notes=rows.notes(manifest.parameters.objective),
                missing_features=rows.missing_features,
            )
        )
        self._run = _Run(manifest, body, opened, rows)
        return opened

    def _category_check(self, run_id: str) -> str:
        digest = hmac.digest(self._category_key, f"category check|{run_id}".encode(), "sha256")
        return digest.hex()[:16]

    def _answer(self, request: m.Request, body: bytes) -> bytes:
        run, slot = self._run, request.slot
        if run is None:
            raise Refusal("wrong_state", detail="no run is open")
        if slot.run != run.manifest.run_id:
            raise Refusal("wrong_run")
        content = _first_sending(request, body)
        last = run.answer
        if last is not None and slot.position <= last.slot.position:
            return self._answer_again(last, slot, content)
        kind, values = self._compute(run, request)
        released = self._release(kind, values, slot)
        run.answer = _Answer(slot, content, kind, values, released)
        return released

    def _answer_again(self, last: _Answer, slot: m.Slot, content: bytes) -> bytes:
        """Repeat the last round: the same bytes, or under a new attempt the same vector."""
        if slot.position != last.slot.position or slot.attempt < last.slot.attempt:
            raise Refusal("stale_slot")
        if content != last.request:
            raise Refusal("changed_request")
        if slot.attempt == last.slot.attempt:
            return last.body
        released = self._release(last.kind, last.values, slot)
        assert self._run is not None  # noqa: S101 - a run was answered before
        self._run.answer = _Answer(slot, content, last.kind, last.values, released)
        return released

    def _compute(self, run: _Run, request: m.Request) -> _Vector:
        try:
            match request:
                case m.CountValues():
                    return m.ValueCounts, _rows(run).count(request, self._pool)
                case m.FixBins():
                    return m.LabelCounts, self._fix_bins(run, request)
                case m.StartTree():
                    return m.RootHistogram, self._start_trees(run, request)
                case m.GrowLevel():
                    return m.LevelHistogram, self._grow_level(run, request)
                case m.FinishTraining():
                    self._close_trees(run, request)
                    return m.ValidationLoss, _ring(_booster(run).validation_loss())
                case m.WholeModel():
                    return self._judge(run, request)
                case _:
                    raise Refusal("wrong_state", detail=type(request).__name__)
        except KeyError as error:
            raise Refusal("wrong_state", detail=f"node {error}") from error
        except (DataError, FederationError) as error:
            if isinstance(error, Refusal):
                raise
            raise Refusal("bad_message", detail=error) from error

    def _fix_bins(self, run: _Run, request: m.FixBins) -> NDArray[np.int64]:
        rows, manifest = _rows(run), run.manifest
        roles = rows.roles
        if self.name not in manifest.training_sites:
            raise Refusal("wrong_state", detail="this site holds no labels in this run")
        run.bins = bins_from_message(request, manifest.features)
        objective = objective_of(
            manifest.parameters, label_cap=request.label_cap, weight_cap=manifest.weight_cap
        )
        binned = BinnedRows(
            rows.encode(run.bins, self._pool),
            roles.labels,
            rows.training_rows,
            roles.weights,
            roles.hashes,
        )
        run.booster = RowBooster(
            binned,
            run.bins,
            objective,
            manifest.parameters,
            pool=self._pool,
            threads=self._threads,
        )
        if roles.brands is not None and manifest.brand_base:
            run.brands = BrandScores.of(roles.brands, run.booster)
        run.rows, run.groups = None, roles.groups
        return rows.label_counts(objective)

    def _start_trees(self, run: _Run, request: m.StartTree) -> NDArray[np.int64]:
        booster = _booster(run)
        run.drawn = features_from_message(request, len(run.bins))
        if request.slot.tree == 0:
            booster.start_run(_first_scores(run, request.base_scores))
        else:
            self._close_trees(run, request)
        rides = np.array([booster.validation_loss(), booster.clipped_rows()], dtype=np.int64)
        roots = booster.start_trees(request.slot.tree)
        return np.append(_of_features(run, roots).ravel(), rides)

    def _grow_level(self, run: _Run, request: m.GrowLevel) -> NDArray[np.int64]:
        booster = _booster(run)
        classes = booster.objective.classes
        build = nodes_from_array(request.build, classes)
        booster.split(splits_from_message(request, run.bins, classes))
        return _of_features(run, booster.histograms(build)).ravel()

    def _close_trees(self, run: _Run, request: m.TreeClosing) -> None:
        booster = _booster(run)
        classes = booster.objective.classes
        splits = splits_from_message(request, run.bins, classes)
        booster.finish_trees(splits, leaves_from_message(request, classes))

    def _judge(self, run: _Run, request: m.WholeModel) -> _Vector:
        booster, model = _booster(run), _model(run, request)
        rows, manifest, threads = booster.rows, run.manifest, self._threads
        if isinstance(request, m.ExplainRows):
            return m.ContributionSums, explained_rows(request, model, rows, manifest, threads)
        scores = validation_scores(model, booster, run.brands, threads=threads)
        return m.ScoreHistogram, booster.objective.evaluation(scores, rows.labels[rows.validation])


def _model(run: _Run, request: m.WholeModel) -> Model:
    """Read the model of ``request``, over the run's bins."""
    objective = _booster(run).objective
    trees = trees_from_message(request, run.bins)
    base = tuple(request.base_scores.tolist())
    if len(base) != objective.classes or not np.isfinite(base).all():
        raise Refusal("bad_message", detail="base scores do not fit the objective")
    return Model(run.manifest.features, run.bins, trees, base, 1.0, objective.text)


def _first_scores(run: _Run, base_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores before the first tree: those of all brands, or of each row's own."""
    classes = _booster(run).objective.classes
    if base_scores.shape != (classes,) or not np.isfinite(base_scores).all():
        raise Refusal("bad_message", detail="base scores do not fit the objective")
    if run.brands is None:
        return base_scores.reshape(classes, 1)
    return run.brands.first_scores(tuple(base_scores.tolist()))


def _of_features(run: _Run, histograms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Only the slots of the drawn features: int64[K, slots, 2]."""
    assert run.drawn is not None  # noqa: S101 - set where trees start
    if len(run.drawn) == len(run.bins):
        return histograms
    return histograms[:, _booster(run).layout.slots_of(run.drawn)]


def _first_sending(request: m.Request, body: bytes) -> bytes:
    """Return the bytes of ``request`` under attempt 0; ``body`` are its own."""
    if request.slot.attempt == 0:
        return body
    first = request.slot.model_copy(update={"attempt": 0})
    return m.encode(request.model_copy(update={"slot": first}))


def _ring(value: int) -> NDArray[np.int64]:
    return np.array([value], dtype=np.int64)


def _rows(run: _Run) -> SiteRows:
    if run.rows is None:
        raise Refusal("wrong_state", detail="the rows are encoded already")
    return run.rows


def _booster(run: _Run) -> RowBooster:
    if run.booster is None:
        raise Refusal("wrong_state", detail="the bins are not fixed yet")
    return run.booster


def _warnings(manifest: Manifest, rows: SiteRows) -> list[str]:
    words = {
        "no_rows": "no training rows",
        "no_positives": "no positives among its training rows",
        "no_negatives": "only positives among its training rows",
    }
    warnings = [words[note] for note in rows.notes(manifest.parameters.objective)]
    names = [feature.name for feature in manifest.features]
    warnings += [f"feature {names[i]} is missing; its values are" for i in rows.missing_features]
    warnings += [
        f"feature {names[index]}: {count} infinite or huge values clipped"
        for index, count in rows.clipped.items()
    ]
    return warnings
