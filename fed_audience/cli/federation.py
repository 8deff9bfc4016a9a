"""Commands on a federation of brands: run, train, score, audience, sync."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from fed_audience.cli.inspect_egress import RecordEgress, recording
from fed_audience.cli.privacy_options import (
    Colluders,
    Delta,
    Epsilon,
    Passes,
    PrivacyFlags,
    PublicCategories,
    PublicRanges,
)
from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from fed_audience.cli.progress import Steps
    from fed_audience.gbdt.models.cover_levels import CoverLevel
    from fed_audience.jobs.pipeline import Secrets
    from fed_audience.jobs.settings import FederationSettings

Config = Annotated[Path, typer.Option("--config", "-c", help="The federation's configuration.")]
AsOf = Annotated[
    str | None,
    typer.Option(help="Instant of consent and features, UTC: 2026-10-01T00:00. [default: now]"),
]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Train even where the same model would come out.")
]
DEFAULT_CONFIG = Path("federation.yml")
_COVERS: Final = ("none", "coarse", "full")


def run(  # noqa: PLR0913 - one parameter a flag
    *,
    select: Annotated[
        str | None,
        typer.Option("--select", "-s", help="Only this model, with its audiences."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    skip_build: Annotated[
        bool, typer.Option("--skip-build", help="Take what dbt built before.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to wait for the agent, or with --skip-build for brands that have not "
            "queued the models; then exit code 17.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop before anything is delivered.")
    ] = False,
    retrain: Retrain = False,
    report: Annotated[Path, typer.Option(help="Where the HTML report goes.")] = Path("report.html"),
    epsilon: Epsilon = None,
    delta: Delta = None,
    record_egress: RecordEgress = None,
) -> None:
    """Build with dbt, train, score, choose audiences, deliver them, and write a report.

    Beside an agent, `run -s MODEL` waits until it has trained with the other organisations.
    """
    from rich.console import Console  # noqa: PLC0415 - start-up time

    from fed_audience.cli.outcome import show_sync, show_unchanged  # noqa: PLC0415
    from fed_audience.cli.progress import Steps  # noqa: PLC0415
    from fed_audience.jobs.facts import report_of  # noqa: PLC0415
    from fed_audience.jobs.pipeline import build_brands, check_settings, run_pipeline  # noqa: PLC0415
    from fed_audience.jobs.retraining_due import retraining_due  # noqa: PLC0415
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415
    from fed_audience.report import terminal  # noqa: PLC0415
    from fed_audience.report.page import check_place, write_report  # noqa: PLC0415

    settings, secrets, instant = _opened(config, as_of)
    if settings.agent is not None:
        from fed_audience.cli.watched_run import run_beside_agent  # noqa: PLC0415

        if epsilon is not None or delta is not None or record_egress is not None:
            raise UsageError(
                "the agent trains, not this command",
                looked="--epsilon, --delta, --record-egress",
                fix="the contract says how much noise there is; leave these away",
            )
        run_beside_agent(
            settings,
            settings.agent,
            secrets,
            partial(instant_of, as_of),
            select=select,
            base=config.resolve().parent,
            skip_build=skip_build,
            timeout=timeout,
            live=as_of is None,
            deliver=not dry_run,
            retrain=retrain,
        )
        return
    settings = PrivacyFlags(epsilon, delta).applied(settings)
    settings = settings if select is None else settings.only(select)
    check_settings(settings, base=config.resolve().parent, deliver=not dry_run)
    check_place(report)
    console = Console()
    with Steps(console) as steps, recording(record_egress) as recorder:
        if not skip_build:
            steps.step("build each brand with dbt")
            build_brands(settings, as_of=instant, live=as_of is None, select=select)
        elif select is not None or timeout is not None:
            _await_requests(settings, as_of, timeout, steps)
        outcome = run_pipeline(
            settings,
            base=config.resolve().parent,
            as_of=instant,
            secrets=secrets,
            listeners=replace(steps.listeners, on_message=recorder),
            clock=None if as_of else partial(instant_of, None),
            deliver=not dry_run,
            retrain=retrain,
        )
    for same in outcome.unchanged.values():
        show_unchanged(same, console)
    for due in retraining_due(settings, map(site_of, settings.sites), instant):
        console.print(f"! {due.sentence(instant)}", style="yellow", soft_wrap=True)
    if outcome.trained:
        facts = report_of(outcome)
        write_report(facts, report)
        terminal.show(facts, console)
        console.print(f"Report: {report.resolve()}", soft_wrap=True)
        return
    for done in outcome.syncs:
        show_sync(done, console)


def train(  # noqa: PLR0913 - one parameter a flag
    model: str,
    *,
    epsilon: Epsilon = None,
    delta: Delta = None,
    colluders: Colluders = None,
    passes: Passes = None,
    public_range: PublicRanges = None,
    public_categories: PublicCategories = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write the shared model to this file.")
    ] = None,
    cover: Annotated[
        str, typer.Option(help="What that file tells of rows: none, coarse or full.")
    ] = "none",
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    retrain: Retrain = False,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="When sums cannot be right, find the group of sites."),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write what came out there.")] = None,
    record_egress: RecordEgress = None,
) -> None:
    """Train a model that the brands' dbt projects have queued, and register it at each."""
    if cover not in _COVERS:
        raise UsageError(
            "unknown --cover", value=cover, limit=", ".join(_COVERS), fix="leave it at none"
        )
    from rich.console import Console  # noqa: PLC0415 - start-up time

    from fed_audience.cli.outcome import show_trained, show_unchanged  # noqa: PLC0415
    from fed_audience.cli.progress import Steps  # noqa: PLC0415
    from fed_audience.files import check_place, write_whole  # noqa: PLC0415
    from fed_audience.gbdt.models.model import to_text  # noqa: PLC0415
    from fed_audience.jobs.train import train_if_changed, train_model  # noqa: PLC0415
    from fed_audience.jobs.training_result import result_json  # noqa: PLC0415
    from fed_audience.jobs.unchanged import Unchanged  # noqa: PLC0415

    if save is not None:
        check_place(save, "the model", "--save")
    if json is not None:
        check_place(json, "the result", "--json")
    settings, secrets, instant = _opened(config, as_of)
    settings.model(model)
    ranges, categories = tuple(public_range or ()), tuple(public_categories or ())
    flags = PrivacyFlags(epsilon, delta, colluders, passes, ranges, categories)
    settings = flags.applied(settings, model)
    wanted = settings.model(model)
    if bisect:
        wanted = wanted.model_copy(update={"bisect": True})
    console = Console()
    with Steps(console) as steps, recording(record_egress) as recorder:
        steps.step(f"train {model}")
        listeners = steps.listeners
        trained = (train_model if retrain else train_if_changed)(
            settings,
            wanted,
            as_of=instant,
            category_key=secrets.category,
            on_event=lambda event: listeners.on_training(model, event),
            on_message=recorder,
        )
    if isinstance(trained, Unchanged):
        show_unchanged(trained, console)
        return
    if json is not None:
        write_whole(json, result_json(trained).encode(), "the result")
    show_trained(trained, console)
    if save is not None:
        text = to_text(trained.result.model, cover=cast("CoverLevel", cover))
        write_whole(save, text.encode(), "the model")
        console.print(f"Model: {save}, cover {cover}", soft_wrap=True)
    for warning in trained.warnings:
        console.print(f"! {warning}", style="yellow")
    console.print(f"Next: fed-audience score {model} --config {config}", soft_wrap=True)


def score(model: str, *, config: Config = DEFAULT_CONFIG, as_of: AsOf = None) -> None:
    """Score each brand's consented customers with the model it holds, at home."""
    from fed_audience.jobs.score import score_model  # noqa: PLC0415 - start-up time

    settings, secrets, instant = _opened(config, as_of)
    wanted = settings.model(model)
    for done in score_model(settings, wanted, as_of=instant, category_key=secrets.category):
        typer.echo(f"{done.site}: {done.customers:,} customers scored, version {done.version}")


def audience(
    name: str,
    *,
    share: Annotated[
        float | None, typer.Option(help="Another reach than the configured one, 0 to 1.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
) -> None:
    """Choose an audience from the scores at hand; nothing is trained or sent."""
    if share is not None and not 0.0 < share <= 1.0:
        raise UsageError(
            "--share is a part of the eligible people",
            value=share,
            limit="above 0, at most 1",
            fix="for example --share 0.1 for every tenth",
        )
    from fed_audience.jobs.audience import build_audience  # noqa: PLC0415 - start-up time

    settings, secrets, instant = _opened(config, as_of)
    wanted = settings.audience(name)
    built = build_audience(settings, wanted, as_of=instant, key=secrets.ties, share=share)
    for one in built:
        threshold = "" if one.cut.threshold is None else f", score from {one.cut.threshold:.4f}"
        typer.echo(
            f"{one.site}: {one.cut.count:,} chosen of {one.eligibility.count:,} eligible "
            f"({one.no_identifier:,} without identifier){threshold}"
        )
    typer.echo(f"Next: fed-audience sync {name} --dry-run --config {config}")


def sync(
    name: str,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")
    ] = False,
    confirm_removals: Annotated[
        bool,
        typer.Option("--confirm-removals", help="Let removals pass that a guard held back."),
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
) -> None:
    """Bring an audience to its destinations; withdrawn people are removed first of all."""
    from rich.console import Console  # noqa: PLC0415 - start-up time

    from fed_audience.cli.outcome import show_plan, show_sync  # noqa: PLC0415
    from fed_audience.jobs.sync import plan_audience, sync_audience  # noqa: PLC0415

    settings, secrets, instant = _opened(config, as_of)
    wanted, base = settings.audience(name), config.resolve().parent
    console = Console()
    if dry_run:
        for planned in plan_audience(
            settings, wanted, base=base, as_of=instant, secret=secrets.state_key
        ):
            show_plan(planned, console)
        return
    for report in sync_audience(
        settings,
        wanted,
        base=base,
        as_of=instant,
        secret=secrets.state_key,
        clock=None if as_of else partial(instant_of, None),
        confirm_removals=confirm_removals,
    ):
        show_sync(report, console)


def _await_requests(
    settings: FederationSettings, as_of: str | None, timeout: float | None, steps: Steps
) -> None:
    """Wait for what other brands build on their own schedule, saying for whom."""
    from fed_audience.jobs.waiting import await_requests  # noqa: PLC0415 - start-up time

    for model in settings.models:

        def told(brands: tuple[str, ...], name: str = model.name) -> None:
            steps.step(f"wait for {', '.join(brands)} to queue {name}")

        await_requests(
            settings, model, clock=partial(instant_of, as_of), timeout=timeout, on_wait=told
        )


def instant_of(text: str | None) -> datetime:
    """Return ``text`` as naive UTC, now without it; raises UsageError for anything else."""
    if text is None:
        return datetime.now(UTC).replace(tzinfo=None)
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    except (ValueError, OverflowError):
        raise UsageError(
            "--as-of is no instant", value=text, fix="write it as 2026-10-01T00:00"
        ) from None


def _opened(config: Path, as_of: str | None) -> tuple[FederationSettings, Secrets, datetime]:
    from fed_audience.config import secret_from_environment  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.pipeline import Secrets  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    instant = instant_of(as_of)
    settings = load_federation(config)
    secrets = Secrets(
        secret_from_environment(settings.category_key), secret_from_environment(settings.state_key)
    )
    return settings, secrets, instant
