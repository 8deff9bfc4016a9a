"""A lookalike from one site's seeds, measured at sites whose labels were hidden.

Positives are the seed site's positives, negatives the other rows of the same site; every site
takes part in agreeing the bins, only features that every site fills are used. The hidden labels
then judge the ranking, beside two yardsticks: the site trained on its own labels (the ceiling)
and "seeds against everyone", which learns where a person shops.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.audiences.discriminator import discriminator_runs
from fed_audience.audiences.lookalike import (
    LookalikeSettings,
    brand_discriminator_verdict,
    check_seeds,
    common_features,
)
from fed_audience.errors import UsageError
from fed_audience.gbdt.evaluation import auc, auc_difference, lift_at, score_histogram
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.outcome import LookalikeOutcome, TargetOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fed_audience.simulate.comparison import Comparison
    from fed_audience.simulate.learners import Trained
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings
    from fed_audience.simulate.splitting import Deal

LIFT_SHARE: Final = 0.05
"""Lift among the best twentieth of a target's rows."""


def check_seed_site(dealt: Deal, settings: SimulationSettings) -> str:
    """Return the name of the seed site; raise UsageError when it, or a target, is missing."""
    name = settings.seed_site
    if name not in dealt.sites:
        raise UsageError("--seed-site is not a site", value=name, limit=", ".join(dealt.sites[:20]))
    if len(dealt.sites) == 1:
        raise UsageError("a lookalike needs a site beside the seed site", fix="use more sites")
    return name


def measure_lookalike(
    problem: Problem,
    dealt: Deal,
    settings: SimulationSettings,
    comparison: Comparison,
    on_stage: Callable[[str], None],
) -> tuple[LookalikeOutcome, list[str]]:
    """Train from the seeds of one site and measure at each other; also returns warnings.

    Raises DataError when the seed site has no seeds, or sites share no filled feature.
    """
    seed_site = check_seed_site(dealt, settings)
    rules = LookalikeSettings(
        mode="seed_brand", brands=dealt.sites, seed_brand=seed_site, setting="demo"
    )
    parts = {name: dealt.training_rows(site) for site, name in enumerate(dealt.sites)}
    seeds = int(problem.labels[parts[seed_site]].sum())
    few = check_seeds(seeds, len(parts[seed_site]) - seeds, rules)
    warnings = [few.message] if few else []
    common = common_features(
        {name: _fill_rates(problem, rows) for name, rows in parts.items() if len(rows)},
        minimum_fill=rules.minimum_fill,
    )
    features = [feature for feature in problem.features if feature.name in common.kept]
    learners = Learners(problem, settings, features=features)
    test = dealt.test_rows()

    on_stage(f"lookalike from the seeds of {seed_site}")
    hidden = np.zeros_like(problem.labels)
    hidden[parts[seed_site]] = problem.labels[parts[seed_site]]
    lookalike = learners.federated(parts, test, labels=hidden, label_sites=(seed_site,))
    on_stage("seeds against everyone")
    everyone = learners.federated(parts, test, labels=hidden)

    targets = []
    for name in rules.targets:
        on_stage(f"how far {name} differs from {seed_site}")
        brand = _brand_auc(problem, dealt, settings, learners, name)
        judged = brand_discriminator_verdict(brand) if brand is not None else None
        if judged and judged.verdict != "ok":
            warnings.append(judged.message(name))
        target = dealt.site[test] == dealt.sites.index(name)
        targets.append(
            _target(
                name,
                problem.labels[test][target],
                lookalike.scores[target],
                comparison.alone[name],
                everyone.scores[target],
                target,
                judged.auc if judged else None,
            )
        )
    assert lookalike.result is not None  # noqa: S101 - trained by our learner
    own = dealt.site[test] == dealt.sites.index(seed_site)
    return (
        LookalikeOutcome(
            seed_site=seed_site,
            seeds=seeds,
            auc_seed_holdout=auc(problem.labels[test][own], lookalike.scores[own]),
            features_used=tuple(problem.names[feature.name] for feature in features),
            features_left_out=tuple(problem.names[name] for name in common.left_out),
            model_sha256=lookalike.result.sha256,
            targets=tuple(targets),
        ),
        warnings,
    )


def _fill_rates(problem: Problem, rows: npt.NDArray[np.intp]) -> dict[str, float]:
    columns: Any = problem.columns.take(rows)
    return {
        name: 1.0 - column.null_count / len(rows)
        for name, column in zip(columns.column_names, columns.columns, strict=True)
    }


def _target(
    name: str,
    labels: npt.NDArray[np.int8],
    scores: npt.NDArray[np.float64],
    ceiling: Trained | None,
    everyone: npt.NDArray[np.float64],
    rows: npt.NDArray[np.bool_],
    brand_auc: float | None,
) -> TargetOutcome:
    own = ceiling.scores[rows] if ceiling else None
    gap = auc_difference(labels, own, scores) if own is not None else None
    return TargetOutcome(
        name=name,
        test_rows=len(labels),
        test_positives=int(labels.sum()),
        auc=auc(labels, scores),
        lift_at_5_percent=_lift(labels, scores),
        auc_own_labels=auc(labels, own) if own is not None else None,
        lift_own_labels=_lift(labels, own) if own is not None else None,
        gap=gap.estimate if gap else None,
        gap_ci=(gap.low, gap.high) if gap and np.isfinite(gap.standard_error) else None,
        auc_seeds_against_everyone=auc(labels, everyone),
        lift_seeds_against_everyone=_lift(labels, everyone),
        brand_auc=brand_auc,
    )


def _lift(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float | None:
    return lift_at(score_histogram(labels, scores), LIFT_SHARE) if len(labels) else None


def _brand_auc(
    problem: Problem,
    dealt: Deal,
    settings: SimulationSettings,
    learners: Learners,
    target: str,
) -> float | None:
    """AUC of telling the target's test rows from the seed site's; None where there are none."""
    seed_site = check_seed_site(dealt, settings)
    (run,) = discriminator_runs(seed_site, [target], learners.features, settings.parameters)
    pair = [dealt.sites.index(name) for name in run.sites]
    is_seed = (dealt.site == pair[0]).astype(np.int8)
    training = {name: dealt.training_rows(at) for name, at in zip(run.sites, pair, strict=True)}
    test = np.concatenate([dealt.test_rows(at) for at in pair])
    if not all(map(len, training.values())):
        return None
    # Evaluated on the test rows, so none are held out for early stopping.
    shallow = replace(settings, depth=run.parameters.max_depth)
    small = Learners(problem, shallow, features=learners.features)
    trained = small.federated(training, test, labels=is_seed, trees=run.parameters.n_estimators)
    return auc(is_seed[test], trained.scores)
