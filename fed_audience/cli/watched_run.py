"""`run -s MODEL` where an agent trains with other organisations: build, wait for it, deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from fed_audience.cli.progress import Steps
    from fed_audience.jobs.agent_watch import Progress
    from fed_audience.jobs.link_settings import AgentSettings
    from fed_audience.jobs.pipeline import Secrets
    from fed_audience.jobs.settings import FederationSettings


def run_beside_agent(  # noqa: PLR0913 - one parameter a flag
    settings: FederationSettings,
    agent: AgentSettings,
    secrets: Secrets,
    clock: Callable[[], datetime],
    *,
    select: str | None,
    base: Path,
    skip_build: bool,
    timeout: float | None,
    live: bool,
    deliver: bool,
    retrain: bool,
) -> None:
    """Build with dbt, wait until the agent has trained ``select``, score, choose and deliver.

    ``live``: ``clock`` is the real one, so what is built asks for consent when it is read.
    """
    from rich.console import Console  # noqa: PLC0415 - start-up time

    from fed_audience.cli.outcome import show_sync  # noqa: PLC0415
    from fed_audience.cli.progress import Steps  # noqa: PLC0415
    from fed_audience.jobs.agent_watch import AgentWatch  # noqa: PLC0415
    from fed_audience.jobs.pipeline import build_brands, check_settings, use_models  # noqa: PLC0415
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415
    from fed_audience.jobs.status_asking import waited_for  # noqa: PLC0415
    from fed_audience.warehouse.registry import forget_inputs  # noqa: PLC0415

    if select is None:
        raise UsageError(
            "this brand's agent trains one model at a time with the others",
            looked="agent in federation.yml",
            fix="name the model: `fed-audience run --select MODEL`",
        )
    settings, instant = settings.only(select), clock()
    site = site_of(settings.sites[0])
    check_settings(settings, base=base, deliver=deliver)
    console = Console()
    with Steps(console) as steps:
        watch = AgentWatch(
            site,
            select,
            waits_for=lambda: waited_for(settings, agent, select),
            on_change=_Shown(steps),
            timeout=timeout,
        )
        if retrain:
            with site.open() as warehouse:
                forget_inputs(warehouse, select)
        if not skip_build:
            steps.step("build with dbt, and queue the training")
            build_brands(settings, as_of=instant, live=live, select=select)
        ended = watch.until_trained()
        # Scores that are younger than the audience would be refused.
        now = max(clock(), ended.finished_at or instant)
        if agent.score and ended.finished_at is not None:
            now = max(clock(), watch.until_scored(ended.finished_at))
        used = use_models(
            settings,
            base=base,
            clock=lambda: max(clock(), now),
            secrets=secrets,
            on_step=steps.step,
            score=not agent.score,
            deliver=deliver,
        )
    told = ended.detail or f"{select} trained and registered at {site.name}"
    console.print(told, highlight=False, soft_wrap=True)
    for audience in used.audiences:
        console.print(f"{audience.site}: {audience.cut.count:,} chosen", highlight=False)
    for done in used.syncs:
        show_sync(done, console)


class _Shown:
    """Draws what the watch tells: a step for each change of state, trees within a step."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._step = ""

    def __call__(self, progress: Progress) -> None:
        if progress.step == "training" and self._step == "training":
            self._steps.update(progress.words)
        else:
            self._steps.step(progress.words)
        self._step = progress.step
