"""Federated against pooled, against every site alone, and against the average of their models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.gbdt.evaluation import auc
from fed_audience.simulate.outcome import Quality, SiteOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from fed_audience.federation.private.public_values import PublicValues
    from fed_audience.federation.result import TrainingResult
    from fed_audience.federation.transport import Envelope
    from fed_audience.gbdt.evaluation import Interval
    from fed_audience.jobs.measures import Measure
    from fed_audience.simulate.learners import Learners, Trained
    from fed_audience.simulate.outcome import Verdict
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.splitting import Deal

LEAKAGE_AUC: Final = 0.95
"""One feature that alone orders the test rows this well was probably known too late."""

FEW_TEST_POSITIVES: Final = 50


@dataclass(frozen=True, slots=True)
class Comparison:
    """All models of one simulation, scored on all test rows."""

    federated: Trained
    pooled: Trained
    lightgbm: Trained
    alone: Mapping[str, Trained | None]

    @property
    def average(self) -> npt.NDArray[np.float64] | None:
        """Mean raw scores of the sites' own models; None when no site has one."""
        models = [trained.scores for trained in self.alone.values() if trained]
        return np.mean(models, axis=0) if models else None

    def quality(self, measure: Measure, labels: npt.NDArray[Any]) -> Quality:
        """Return ``measure`` of every model."""
        average = self.average
        return Quality(
            federated=measure.value(labels, self.federated.scores),
            pooled_lightgbm=measure.value(labels, self.lightgbm.scores),
            pooled_same_learner=measure.value(labels, self.pooled.scores),
            site_alone=tuple(
                measure.value(labels, trained.scores) if trained else None
                for trained in self.alone.values()
            ),
            site_average=None if average is None else measure.value(labels, average),
        )


def compare(
    problem: Problem,
    dealt: Deal,
    learners: Learners,
    on_stage: Callable[[str], None],
    on_message: Callable[[Envelope], None] | None = None,
    public: tuple[PublicValues, ...] = (),
) -> Comparison:
    """Train every model of the comparison; ``on_stage`` hears what is trained next.

    ``on_message`` sees what crosses a site's border in the federated training alone.
    The pooled model is a training of its own from raw rows: own bins, own base score. ``public``
    values make the federated one private; the others stay what they are without noise.
    """
    parts = {name: dealt.training_rows(site) for site, name in enumerate(dealt.sites)}
    pooled, test = dealt.training_rows(), dealt.test_rows()
    on_stage("compiling")
    learners.warm_up(dealt.sites, pooled)
    on_stage(f"federated over {len(parts)} sites")
    federated = learners.federated(parts, test, on_message=on_message, public=public)
    on_stage("LightGBM on the pooled rows")
    lightgbm = learners.lightgbm(pooled, test)
    on_stage("the same learner on the pooled rows")
    same = learners.federated({"pooled": pooled}, test)
    alone: dict[str, Trained | None] = {}
    for name, rows in parts.items():
        on_stage(f"{name} alone")
        differ = len(np.unique(problem.labels[rows])) > 1
        alone[name] = learners.federated({name: rows}, test) if differ else None
    return Comparison(federated, same, lightgbm, alone)


def site_outcomes(
    problem: Problem, dealt: Deal, comparison: Comparison, measures: Sequence[Measure]
) -> tuple[SiteOutcome, ...]:
    """Each site's own test rows: alone, federated, and the paired difference."""
    test, measure = dealt.test_rows(), measures[0]
    binary = measure.name == "auc"
    outcomes = []
    for site, (name, alone) in enumerate(comparison.alone.items()):
        rows = dealt.training_rows(site)
        own = dealt.site[test] == site
        labels = problem.labels[test][own]
        scores = comparison.federated.scores[..., own]
        value = measure.value(labels, scores)
        value_alone, difference = None, None
        if alone is not None:
            value_alone = measure.value(labels, alone.scores[..., own])
            difference = measure.advantage(labels, scores, alone.scores[..., own])
        known = difference is not None and np.isfinite(difference.standard_error)
        outcomes.append(
            SiteOutcome(
                name=name,
                rows=len(rows),
                positives=int(problem.labels[rows].sum()) if binary else None,
                test_rows=len(labels),
                test_positives=int(labels.sum()) if binary else None,
                measure=measure.name,
                auc_alone=value_alone if binary else None,
                auc_federated=value if binary else None,
                loss_alone=None if binary else value_alone,
                loss_federated=None if binary else value,
                delta=difference.estimate if difference else None,
                ci=(difference.low, difference.high) if difference and known else None,
                verdict=_verdict(difference) if difference and known else None,
            )
        )
    return tuple(outcomes)


def _verdict(difference: Interval) -> Verdict:
    if difference.low > 0:
        return "gains"
    return "loses" if difference.high < 0 else "no difference"


def site_warnings(outcomes: tuple[SiteOutcome, ...]) -> list[str]:
    """Say what keeps a site's numbers from meaning much."""
    found = []
    for site in outcomes:
        if not site.rows:
            found.append(f"{site.name}: no rows to train with")
        elif site.positives == 0:
            found.append(f"{site.name}: no positives to train with, so it has no model alone")
        elif site.positives == site.rows:
            found.append(f"{site.name}: only positives, so it has no model alone")
        elif site.alone is None and site.test_rows and site.positives is None:
            found.append(f"{site.name}: every row has one label, so it has no model alone")
        if site.rows and site.federated is None:
            found.append(f"{site.name}: its test rows are of one class, nothing can be measured")
        elif site.test_positives is not None and 0 < site.test_positives < FEW_TEST_POSITIVES:
            found.append(f"{site.name}: {site.test_positives} test positives, intervals are wide")
    return found


def leakage_warnings(
    problem: Problem, dealt: Deal, learners: Learners, result: TrainingResult
) -> list[str]:
    """Name features that alone predict suspiciously well.

    Each bin scores its rate of positives in training; the AUC is measured on the test rows. Asked
    of labels of two classes only.
    """
    if problem.positive is None:
        return []
    train, test = dealt.training_rows(), dealt.test_rows()
    seen, new = learners.codes(result, train), learners.codes(result, test)
    positives = problem.labels[train].astype(np.float64)
    rate = positives.mean()
    found = []
    for number, feature in enumerate(learners.features):
        rows = np.bincount(seen[:, number], minlength=256)
        hits = np.bincount(seen[:, number], weights=positives, minlength=256)
        scores = (hits + rate) / (rows + 1.0)
        alone = auc(problem.labels[test], scores[new[:, number]])
        if alone is not None and alone > LEAKAGE_AUC:
            found.append(
                f"feature {problem.names[feature.name]!r} alone reaches AUC {alone:.3f}: is it "
                f"known before the outcome? If not, leave it out with --drop"
            )
    return found


def require_same_model(comparison: Comparison) -> None:
    """Raise FederationError unless the federated model is the pooled one, to the byte.

    A private one never is: its noise is fresh.
    """
    federated, pooled = comparison.federated.result, comparison.pooled.result
    assert federated is not None  # noqa: S101 - both are trained by our learner
    assert pooled is not None  # noqa: S101 - the same
    if federated.privacy is None and federated.sha256 != pooled.sha256:
        raise FederationError(
            "the federated model differs from the pooled one, which must not happen",
            value=federated.sha256,
            limit=pooled.sha256,
            fix="report it with the command line and the file's shape",
        )
