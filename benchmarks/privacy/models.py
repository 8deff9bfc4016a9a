"""What is attacked: models of ours, trained through the real protocol on chosen rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.learners.ours import KEY, arrow
from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.federation.manifest import overrides_for
from fed_audience.federation.private.public_values import PublicValues
from fed_audience.federation.private.recipe import private_parameters
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.privacy.dp.plan import PrivacyTerms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.datasets import Floats, Table
    from fed_audience.federation import TrainingResult
    from fed_audience.federation.transport import Envelope
    from fed_audience.gbdt.parameters import TrainingParameters

Trainer = Callable[["NDArray[np.int64]", int], "Floats"]
"""Trains on the given rows of a pool, as the run of that number; gives the log-odds of each row of
the pool: float64[N]. What an attack needs to know of a model."""


DELTA: Final = 1e-6
ROW_CAP: Final = 2**20
"""Bound of training rows that fixes the fixed point; public, as the manifest is."""


@dataclass(frozen=True)
class Pool:
    """The first ``rows`` rows of a table, from which training rows are drawn."""

    table: Table
    rows: int

    @cached_property
    def held(self) -> pa.Table:
        """The rows as a warehouse hands them over."""
        return pa.Table.from_batches([arrow(self.table, 0, self.rows)])

    @property
    def labels(self) -> Floats:
        """Labels of the rows, float64[rows]."""
        return self.table.labels(0, self.rows)

    def scores(self, result: TrainingResult) -> Floats:
        """Log-odds of every row, float64[rows]."""
        columns = {name: self.held.column(name) for name in self.held.column_names}
        scores: Floats = raw_scores(
            result.model, result.encoder.encode(columns, KEY, threads=1), threads=1
        )
        return scores

    def fitted(
        self,
        members: NDArray[np.int64],
        parameters: TrainingParameters,
        *,
        sites: int = 1,
        secure: bool = False,
        privacy: PrivacyTerms | None = None,
        on_message: Callable[[Envelope], None] | None = None,
    ) -> TrainingResult:
        """Train on the rows ``members``, dealt to ``sites`` sites."""
        parts = {
            f"s{site}": ArrowSource(self.held.take(members[site::sites])) for site in range(sites)
        }
        programs = {name: SiteProgram(name, source, KEY) for name, source in parts.items()}
        manifest = Manifest(
            run_id="attacked",
            model_name="attacked",
            task="propensity",
            features=tuple(
                Feature(f"f{index}", categorical=index in self.table.categorical)
                for index in range(self.table.features)
            ),
            label="label",
            row_key="key",
            sites=tuple(parts),
            secure=secure,
            overrides=overrides_for(tuple(parts), tuple(parts)) if secure else (),
            parameters=parameters,
            privacy=privacy,
            public=self.public if privacy else (),
        )
        return train(InProcessTransport(programs, on_message), manifest)

    def trainer(self, parameters: TrainingParameters) -> Trainer:
        """Return what trains models with ``parameters``.

        Masks change no byte of a model, nor does the number of sites: every model but the first is
        trained at one site without them. Raises SystemExit if the first shows otherwise.
        """

        def trained(members: NDArray[np.int64], number: int) -> Floats:
            result = self.fitted(members, parameters)
            if number == 0:
                masked = self.fitted(members, parameters, sites=3, secure=True)
                if masked.model_text != result.model_text:
                    raise SystemExit("three sites under masks gave another model than one site")
            return self.scores(result)

        return trained

    @cached_property
    def public(self) -> tuple[PublicValues, ...]:
        """Ranges and categories of the whole table, taken for public."""
        columns = self.table.values(0, self.table.rows + self.table.test_rows)
        return tuple(
            PublicValues(name, categories=tuple(str(code) for code in range(int(high) + 1)))
            if index in self.table.categorical
            else PublicValues(name, float(low), float(high))
            for index, (low, high) in enumerate(
                zip(np.nanmin(columns, axis=1), np.nanmax(columns, axis=1), strict=True)
            )
            for name in [f"f{index}"]
        )

    def noisy(
        self, members: NDArray[np.int64], epsilon: float, *, sites: int = 1, **how: Any
    ) -> TrainingResult:
        """Train with noise on the rows ``members``; a single site adds all of it itself.

        ``how``: ``secure``, ``colluders``, ``evaluate`` and ``on_message``.
        """
        colluders, evaluate = how.pop("colluders", 0), how.pop("evaluate", False)
        privacy = PrivacyTerms(epsilon, DELTA, colluders, evaluate=evaluate)
        parameters = private_parameters(epsilon, self.table.features, ROW_CAP)
        return self.fitted(members, parameters, sites=sites, privacy=privacy, **how)

    def noisy_trainer(self, epsilon: float) -> Trainer:
        """Return what trains models with noise: one site, whose noise is that of any number."""
        return lambda members, _: self.scores(self.noisy(members, epsilon))
