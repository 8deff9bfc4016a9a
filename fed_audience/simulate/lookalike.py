"""A lookalike from one site's seeds, measured at sites whose labels were hidden.

Positives are the seed site's positives, negatives the other rows of the same site; every site
takes part in agreeing the bins. A target's model uses the features that the seed site and the
target both fill and that carry over. The hidden labels then judge the ranking, beside two
yardsticks: the target trained on its own labels (the ceiling) and "seeds against everyone", which
learns where a person shops.
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
from fed_audience.simulate.carry_over import carried_over
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.outcome import LookalikeOutcome, TargetOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fed_audience.gbdt.bins import Feature
    from fed_audience.simulate.comparison import Comparison
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings
    from fed_audience.simulate.splitting import Deal

LIFT_SHARE: Final = 0.05
"""Lift among the best twentieth of a target's rows."""


def check_seed_site(dealt: Deal, settings: SimulationSettings) -> str:
    """Return the name of the seed site; raise UsageError when it, or a target, is missing."""
    name = settings.seed_site
    if name not in dealt.sites:
        raise UsageError(
            "--seed-site is not a site",
            value=name,
            limit=", ".join(dealt.sites[:20]),
            fix="name one of them",
        )
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

    Raises DataError when the seed site has no seeds, or shares no filled feature with a target.
    """
    seed_site = check_seed_site(dealt, settings)
    rules = LookalikeSettings(
        mode="seed_brand", brands=dealt.sites, seed_brand=seed_site, setting="demo"
    )
    parts = {name: dealt.training_rows(site) for site, name in enumerate(dealt.sites)}
    seed_rows = parts[seed_site]
    seeds = int(problem.labels[seed_rows].sum())
    few = check_seeds(seeds, len(seed_rows) - seeds, rules)
    warnings = [few.message] if few else []
    hidden = np.zeros_like(problem.labels)
    hidden[seed_rows] = problem.labels[seed_rows]
    test = dealt.test_rows()
    on_stage("seeds against everyone")
    everyone = Learners(problem, settings).federated(parts, test, labels=hidden)

    targets = []
    for name in rules.targets:
        if not len(parts[name]):
            warnings.append(f"{name}: no rows, so it takes no part in the lookalike")
            continue
        on_stage(f"features that carry over to {name}")
        features, left_out = _features(problem, settings, rules, seed_rows, parts[name], name)
        learners = Learners(problem, settings, features=features)
        on_stage(f"lookalike for {name}")
        lookalike = learners.federated(parts, test, labels=hidden, label_sites=(seed_site,))
        on_stage(f"how far {name} differs from {seed_site}")
        judged = brand_discriminator_verdict(_brand_auc(problem, dealt, settings, features, name))
        if judged.verdict != "ok":
            warnings.append(judged.message(name))
        target = dealt.site[test] == dealt.sites.index(name)
        own = dealt.site[test] == dealt.sites.index(seed_site)
        ceiling = comparison.alone[name]
        assert lookalike.result is not None  # noqa: S101 - trained by our learner
        targets.append(
            TargetOutcome(
                name=name,
                **_measures(
                    problem.labels[test][target],
                    lookalike.scores[target],
                    ceiling.scores[target] if ceiling else None,
                    everyone.scores[target],
                ),
                auc_at_seed_site=auc(problem.labels[test][own], lookalike.scores[own]),
                brand_auc=judged.auc,
                features_used=tuple(problem.names[feature.name] for feature in features),
                features_left_out={problem.names[n]: why for n, why in left_out.items()},
                model_sha256=lookalike.result.sha256,
            )
        )
    return LookalikeOutcome(seed_site, seeds, tuple(targets)), warnings


def _features(
    problem: Problem,
    settings: SimulationSettings,
    rules: LookalikeSettings,
    seed_rows: npt.NDArray[np.intp],
    target_rows: npt.NDArray[np.intp],
    target: str,
) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Features that the seed site and the target both fill and that carry over."""
    common = common_features(
        {
            str(rules.seed_brand): _fill_rates(problem, seed_rows),
            target: _fill_rates(problem, target_rows),
        },
        minimum_fill=rules.minimum_fill,
    )
    filled = [feature for feature in problem.features if feature.name in common.kept]
    kept, left_out = carried_over(problem, settings, filled, seed_rows, target_rows)
    return kept, {**common.left_out, **left_out}


def _fill_rates(problem: Problem, rows: npt.NDArray[np.intp]) -> dict[str, float]:
    columns: Any = problem.columns.take(rows)
    return {
        name: 1.0 - column.null_count / len(rows)
        for name, column in zip(columns.column_names, columns.columns, strict=True)
    }


def _measures(
    labels: npt.NDArray[np.int8],
    scores: npt.NDArray[np.float64],
    own: npt.NDArray[np.float64] | None,
    everyone: npt.NDArray[np.float64],
) -> dict[str, Any]:
    gap = auc_difference(labels, own, scores) if own is not None else None
    return {
        "test_rows": len(labels),
        "test_positives": int(labels.sum()),
        "auc": auc(labels, scores),
        "lift_at_5_percent": _lift(labels, scores),
        "auc_own_labels": auc(labels, own) if own is not None else None,
        "lift_own_labels": _lift(labels, own) if own is not None else None,
        "gap": gap.estimate if gap else None,
        "gap_ci": (gap.low, gap.high) if gap and np.isfinite(gap.standard_error) else None,
        "auc_seeds_against_everyone": auc(labels, everyone),
        "lift_seeds_against_everyone": _lift(labels, everyone),
    }


def _lift(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float | None:
    return lift_at(score_histogram(labels, scores), LIFT_SHARE) if len(labels) else None


def _brand_auc(
    problem: Problem,
    dealt: Deal,
    settings: SimulationSettings,
    features: tuple[Feature, ...],
    target: str,
) -> float:
    """AUC of telling the target's test rows from the seed site's; 0.5 where one has none."""
    seed_site = check_seed_site(dealt, settings)
    (run,) = discriminator_runs(seed_site, [target], features, settings.parameters)
    pair = [dealt.sites.index(name) for name in run.sites]
    is_seed = (dealt.site == pair[0]).astype(np.int8)
    test = np.concatenate([dealt.test_rows(at) for at in pair])
    # Measured on the test rows, so no rows are held out for early stopping.
    shallow = replace(settings, depth=run.parameters.max_depth)
    trained = Learners(problem, shallow, features=features).federated(
        {name: dealt.training_rows(at) for name, at in zip(run.sites, pair, strict=True)},
        test,
        labels=is_seed,
        trees=run.parameters.n_estimators,
    )
    return auc(is_seed[test], trained.scores) or 0.5
