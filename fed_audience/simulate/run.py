"""One simulation from file to outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from fed_audience.federation.events import BinsAgreed, TreeGrown
from fed_audience.jobs.measures import measures_of
from fed_audience.simulate.brand_comparison import compare_brands
from fed_audience.simulate.comparison import (
    compare,
    leakage_warnings,
    require_same_model,
    site_outcomes,
    site_warnings,
)
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.link import estimate
from fed_audience.simulate.lookalike import check_seed_site, measure_lookalike
from fed_audience.simulate.outcome import ModelHashes, Outcome, Seconds
from fed_audience.simulate.private import privacy_of, public_values
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.splitting import deal

if TYPE_CHECKING:
    from collections.abc import Callable

    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.transport import Envelope
    from fed_audience.simulate.settings import SimulationSettings


@dataclass(frozen=True, slots=True)
class Stage:
    """What is being done, and of its trees how many are grown.

    ``level_bytes``: what a site sends at most for a level of all trees that grow together; 0 until
    bins are agreed.
    """

    text: str
    trees: int = 0
    of: int = 0
    level_bytes: int = 0

    def after(self, event: TrainingEvent) -> Stage:
        """Return how far it has come with ``event``."""
        if isinstance(event, BinsAgreed):
            return replace(self, level_bytes=event.level_bytes)
        if isinstance(event, TreeGrown):
            return replace(self, trees=event.number, of=event.limit)
        return self


def simulate(
    settings: SimulationSettings,
    *,
    on_stage: Callable[[Stage], None] | None = None,
    on_message: Callable[[Envelope], None] | None = None,
) -> Outcome:
    """Read the table, deal its rows to sites, train and compare.

    ``on_message`` sees what would cross a site's border in the federated training.

    Raises DataError for a table that cannot be used, UsageError for flags that do not fit it,
    and FederationError should the federated model ever differ from the pooled one.
    """
    stage = Stage("")

    def begin(text: str) -> None:
        nonlocal stage
        stage = Stage(text)
        if on_stage:
            on_stage(stage)

    def trained(event: TrainingEvent) -> None:
        nonlocal stage
        stage = stage.after(event)
        if on_stage:
            on_stage(stage)

    begin(f"reading {settings.path.name}")
    problem = read_problem(settings)
    settings = replace(settings, classes=max(len(problem.classes), 2))
    dealt = deal(problem, settings)
    if settings.task == "lookalike":
        check_seed_site(dealt, settings)
    learners = Learners(problem, settings, on_event=trained)
    public, private_warnings = public_values(problem, settings)
    comparison = compare(problem, dealt, learners, begin, on_message, public)
    require_same_model(comparison)
    lookalike, lookalike_warnings = None, list[str]()
    if settings.task == "lookalike":
        lookalike, lookalike_warnings = measure_lookalike(
            problem, dealt, settings, comparison, begin
        )
    brand_comparison = None
    if settings.compare:
        brand_comparison = compare_brands(problem, dealt, settings, comparison, begin)
    mean_shap = None
    if settings.explain:
        begin("how far each feature moves the scores")
        mean_shap = learners.explained(comparison.federated)
    begin("measuring")
    federated, pooled = comparison.federated.result, comparison.pooled.result
    assert federated is not None  # noqa: S101 - trained by our learner
    assert pooled is not None  # noqa: S101 - the same
    test = dealt.test_rows()
    labels = problem.labels[test]
    measures = measures_of(settings.parameters)
    quality = {measure.name: comparison.quality(measure, labels) for measure in measures}
    per_site = site_outcomes(problem, dealt, comparison, measures)
    link = None
    if settings.link is not None:
        rows = [site.rows for site in per_site]
        link = estimate(settings.link, federated, comparison.federated.seconds, rows)
    largest = federated.largest_message
    return Outcome(
        file=settings.path.name,
        task=settings.task,
        objective=settings.learns,
        split=f"column {settings.site_column}" if settings.site_column else settings.split,
        label=settings.label,
        positive=problem.positive,
        classes=problem.classes,
        rows=problem.rows,
        rows_train=problem.rows - len(test),
        rows_test=len(test),
        features=len(problem.features),
        feature_names=tuple(problem.names.values()),
        sites=dealt.sites,
        auc=quality.get("auc"),
        logloss=quality.get("logloss"),
        accuracy=quality.get("accuracy"),
        deviance=quality.get("deviance"),
        rmse=quality.get("rmse"),
        mae=quality.get("mae"),
        model_sha256=ModelHashes(federated.sha256, pooled.sha256),
        seconds=Seconds(comparison.federated.seconds, comparison.lightgbm.seconds),
        threads=settings.threads,
        rounds=federated.rounds,
        bytes_up_per_site=tuple(federated.bytes_up[name] for name in dealt.sites),
        largest_message=f"{largest.bytes:,} bytes from {largest.site}: {largest.reveals}",
        privacy=privacy_of(federated, settings, read=bool(private_warnings)),
        per_site=per_site,
        lookalike=lookalike,
        brand_comparison=brand_comparison,
        mean_shap=mean_shap,
        link=link,
        warnings=(
            *problem.warnings,
            *private_warnings,
            *leakage_warnings(problem, dealt, learners, federated),
            *site_warnings(per_site),
            *lookalike_warnings,
        ),
        notes=problem.notes,
        parameters=asdict(settings.parameters),
    )
