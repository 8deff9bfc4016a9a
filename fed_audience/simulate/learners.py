"""The learners that are compared, each trained from raw rows and scored on the same test rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.federation.explaining import explain
from fed_audience.federation.manifest import Manifest, overrides_for
from fed_audience.federation.private.recipe import plan_of, private_parameters
from fed_audience.federation.site.program import SiteProgram
from fed_audience.federation.site.source import ArrowSource
from fed_audience.federation.train import train
from fed_audience.federation.transports.in_process import InProcessTransport
from fed_audience.gbdt.bins.canonical import canonical
from fed_audience.gbdt.bins.numbers import as_float64
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.simulate.lightgbm_baseline import train_lightgbm
from fed_audience.simulate.private import charge
from fed_audience.simulate.problem import BRAND, LABEL, ROW_KEY, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.private.public_values import PublicValues
    from fed_audience.federation.result import TrainingResult
    from fed_audience.federation.transport import Envelope
    from fed_audience.gbdt.bins import Feature
    from fed_audience.gbdt.models.model import Model
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings

Rows: TypeAlias = "npt.NDArray[np.intp]"


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model's raw scores of the rows asked for, and what the training took.

    ``scores``: float64[n], or [classes, n] for several classes. ``result`` is None for LightGBM.
    ``seconds`` are binning and training, nothing else. ``programs`` are the sites', that know
    what stays at home.
    """

    scores: npt.NDArray[np.float64]
    seconds: float
    result: TrainingResult | None = None
    programs: Mapping[str, SiteProgram] = field(default_factory=dict)
    manifest: Manifest | None = None


class Learners:
    """Trains on rows of one ``problem`` with one set of parameters.

    ``labels`` may differ from the problem's, to hide or change them; they are then 0 and 1.
    ``brands``: text, one a row of the problem, for models that tell brands apart.
    """

    def __init__(
        self,
        problem: Problem,
        settings: SimulationSettings,
        *,
        features: Sequence[Feature] | None = None,
        brands: pa.ChunkedArray[Any] | None = None,
        on_event: Callable[[TrainingEvent], None] | None = None,
    ) -> None:
        self.features = tuple(problem.features if features is None else features)
        self._problem = problem
        self._settings = settings
        self._brands = brands
        self._on_event = on_event
        # A key that sites share and the coordinator lacks; here, one that repeats with the seed.
        self._category_key = sha256(f"simulation|{settings.seed}".encode()).digest()

    def federated(
        self,
        parts: Mapping[str, Rows],
        score: Rows,
        *,
        labels: npt.NDArray[Any] | None = None,
        label_sites: tuple[str, ...] | None = None,
        trees: int | None = None,
        brand_base: bool = False,
        public: tuple[PublicValues, ...] = (),
        on_message: Callable[[Envelope], None] | None = None,
    ) -> Trained:
        """Train one model over the rows of each site in ``parts``; score the rows ``score``.

        ``brand_base`` gives each brand a base score of its own; ``scores`` are the shared trunk's.
        ``public`` values make the training private, by the settings' terms; it is charged first.
        ``on_message`` sees every byte that crosses a site's border.
        """
        labels = self._problem.labels if labels is None else labels
        parameters, weights = self._settings.parameters, self._problem.weights
        if trees is not None:
            parameters = replace(parameters, n_estimators=trees)
        privacy = self._settings.terms if public else None
        if privacy is not None:
            privacy.require_delta_below(sum(map(len, parts.values())))
            row_cap = parameters.row_cap
            parameters = private_parameters(privacy.epsilon, len(self.features), row_cap)
        manifest = Manifest(
            run_id="simulation",
            model_name="simulation",
            task=self._settings.task if label_sites is None else "lookalike",
            features=self.features,
            label=LABEL,
            row_key=ROW_KEY,
            sites=tuple(parts),
            label_sites=label_sites,
            weight=None if weights is None else WEIGHT,
            max_weight=1.0 if weights is None else float(weights.max()),
            brand=BRAND if brand_base else None,
            brand_base=brand_base,
            secure=self._settings.secure,
            overrides=overrides_for(tuple(parts), label_sites or tuple(parts)),
            privacy=privacy,
            public=public,
            parameters=parameters,
        )
        programs = {
            site: SiteProgram(
                site,
                ArrowSource(self._table(rows, labels)),
                self._category_key,
                threads=self._settings.threads,
            )
            for site, rows in parts.items()
        }
        transport = InProcessTransport(programs, on_message)
        if privacy is not None:
            charge(self._settings, plan_of(manifest))
        began = time.perf_counter()
        threads = self._settings.threads
        result = train(transport, manifest, on_event=self._on_event, threads=threads)
        seconds = time.perf_counter() - began
        return Trained(self.score(result, score), seconds, result, programs, manifest)

    def score(self, result: TrainingResult, rows: Rows) -> npt.NDArray[np.float64]:
        """Raw scores of ``rows`` under a model of ours: float64[n], or [classes, n]."""
        return self.score_copy(result, result.model, rows)

    def score_copy(
        self, result: TrainingResult, copy: Model, rows: Rows
    ) -> npt.NDArray[np.float64]:
        """Raw scores of ``rows`` under a site's own ``copy`` of the model of ``result``."""
        return raw_scores(copy, self.codes(result, rows), threads=self._settings.threads)

    def codes(self, result: TrainingResult, rows: Rows) -> npt.NDArray[np.uint8]:
        """Bin codes of ``rows``: uint8[len(rows), F]."""
        table = self._columns(rows)
        columns: Any = dict(zip(table.column_names, table.columns, strict=True))
        return result.encoder.encode(columns, self._category_key, threads=self._settings.threads)

    def explained(self, trained: Trained) -> dict[str, float]:
        """Mean |SHAP| of each feature's column over all sites, largest first.

        A site sends sums over its rows, as in a real federation.
        """
        assert trained.result is not None  # noqa: S101 - trained by our learner
        assert trained.manifest is not None  # noqa: S101 - the same
        transport = InProcessTransport(trained.programs)
        found = explain(transport, trained.manifest, trained.result.model)
        ranked = sorted(found, key=lambda name: (-found[name], name))
        return {self._problem.names[name]: found[name] for name in ranked}

    def lightgbm(self, rows: Rows, score: Rows) -> Trained:
        """Train LightGBM on ``rows`` with the same parameters and floors; score ``score``."""
        values, weights = self._matrix(rows), self._problem.weights
        booster, seconds = train_lightgbm(
            values[rows],
            self._problem.labels[rows],
            None if weights is None else weights[rows],
            self.features,
            self._settings.parameters,
            self._settings.threads,
        )
        raw = booster.predict(values[score], raw_score=True)
        return Trained(np.ascontiguousarray(raw.T), seconds)

    def warm_up(self, sites: Sequence[str], rows: Rows) -> None:
        """Train on a few rows once, so that no compilation falls into a measured time."""
        few = rows[:: max(1, len(rows) // 2_000)]
        self.federated({site: few[at :: len(sites)] for at, site in enumerate(sites)}, few, trees=2)
        self.federated({"pooled": few}, few, trees=2)

    def _table(self, rows: Rows, labels: npt.NDArray[Any]) -> pa.Table:
        table = self._columns(rows).append_column(LABEL, pa.array(labels[rows]))
        if self._problem.weights is not None:
            table = table.append_column(WEIGHT, pa.array(self._problem.weights[rows]))
        if self._brands is not None:
            table = table.append_column(BRAND, self._brands.take(rows))
        return table.append_column(ROW_KEY, pa.array(rows))

    def _columns(self, rows: Rows) -> pa.Table:
        names = [feature.name for feature in self.features]
        return self._problem.columns.select(names).take(rows)

    def _matrix(self, rows: Rows) -> npt.NDArray[np.float64]:
        """All rows for LightGBM: categories as numbers of the values that ``rows`` hold."""
        columns = []
        for feature in self.features:
            column: Any = self._problem.columns.column(feature.name)
            if feature.categorical:
                known = pc.unique(column.take(rows)).drop_null().sort()
                column = pc.index_in(column, value_set=known, skip_nulls=True).cast(pa.float64())
            columns.append(canonical(as_float64(column)).values)
        return np.column_stack(columns)
