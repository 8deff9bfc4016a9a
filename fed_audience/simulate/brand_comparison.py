"""What each brand gains by something of its own: a base score, a feature, or trees on the trunk.

Where brands differ in why people buy, one model for all can be worse than a brand's own. Each
choice is measured on every brand's own test rows, beside the trunk, the brand alone, and the
average of the sites' models.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.gbdt.bins import Feature
from fed_audience.jobs.measures import measures_of
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.outcome import BrandComparison, BrandOutcome, Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fed_audience.gbdt.growing.continuation import Continuation
    from fed_audience.jobs.measures import Measure
    from fed_audience.simulate.comparison import Comparison
    from fed_audience.simulate.learners import Trained
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings
    from fed_audience.simulate.splitting import Deal

    Floats = npt.NDArray[np.float64]


def compare_brands(
    problem: Problem,
    dealt: Deal,
    settings: SimulationSettings,
    comparison: Comparison,
    on_stage: Callable[[str], None],
) -> BrandComparison:
    """Train what ``comparison`` lacks, each site being a brand, and measure all of it."""
    parts = {name: dealt.training_rows(site) for site, name in enumerate(dealt.sites)}
    test = dealt.test_rows()
    brands: Any = pa.chunked_array([pa.array(np.array(dealt.sites)[dealt.site])])
    on_stage("a base score for each brand")
    learners = Learners(problem, settings, brands=brands)
    based = learners.federated(parts, test, brand_base=True)
    on_stage("the brand as a feature")
    told = _with_brand(problem, brands)
    featured = Learners(told, settings).federated(parts, test)
    measure = measures_of(settings.parameters)[0]
    outcomes = []
    for site, name in enumerate(dealt.sites):
        rows, here = dealt.test_rows(site), dealt.site[test] == site
        continuation, continued = None, comparison.federated.scores[..., here]
        if len(parts[name]):
            on_stage(f"trees of {name}'s own")
            continuation = _continuation(comparison.federated, name)
            continued = _own_scores(learners, comparison.federated, name, rows, continuation)
        alone, average = comparison.alone[name], comparison.average
        judged = _Judge(measure, problem.labels[rows])
        outcomes.append(
            BrandOutcome(
                name=name,
                trunk=judged(comparison.federated.scores[..., here]),
                brand_base=judged(_own_scores(learners, based, name, rows)),
                brand_feature=judged(featured.scores[..., here]),
                continued=judged(continued),
                chosen=continuation is not None and continuation.chosen,
                rounds=continuation.rounds if continuation else 0,
                alone=judged(None if alone is None else alone.scores[..., here]),
                average=judged(None if average is None else average[..., here]),
            )
        )
    return BrandComparison(measure.name, measure.higher_is_better, tuple(outcomes))


class _Judge:
    """A measure on one brand's test rows."""

    def __init__(self, measure: Measure, labels: npt.NDArray[Any]) -> None:
        self._measure = measure
        self._labels = labels

    def __call__(self, scores: Floats | None) -> Measured | None:
        """Measure ``scores``; None where there is nothing to measure."""
        if scores is None or not len(self._labels):
            return None
        found = self._measure.interval(self._labels, scores)
        if found is None or not np.isfinite(found.standard_error):
            return None
        return Measured(found.estimate, found.low, found.high)


def _continuation(trunk: Trained, site: str) -> Continuation:
    assert trunk.result is not None  # noqa: S101 - trained by our learner
    return trunk.programs[site].own_copies().continuation(trunk.result.model)


def _own_scores(
    learners: Learners,
    trained: Trained,
    site: str,
    rows: npt.NDArray[np.intp],
    continuation: Continuation | None = None,
) -> Floats:
    """Raw scores of a site's rows by its own copy of the model, with its trees if it has some."""
    result = trained.result
    assert result is not None  # noqa: S101 - trained by our learner
    # A site without training rows knows no base of its own.
    copy = trained.programs[site].own_copies().models(result.model).get(site, result.model)
    if continuation is not None:
        copy = continuation.on(copy)
    return learners.score_copy(result, copy, rows)


def _with_brand(problem: Problem, brands: pa.ChunkedArray[Any]) -> Problem:
    """Return the problem with the brand as one more categorical feature."""
    name = "brand"
    while name in problem.names:
        name += "_"
    return replace(
        problem,
        features=(*problem.features, Feature(name, categorical=True)),
        names={**problem.names, name: name},
        columns=problem.columns.append_column(name, brands),
    )
