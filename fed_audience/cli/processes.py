"""`fed-audience coordinator` and `agent`, and what they say: `federation status`, `features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, Config, instant_of
from fed_audience.errors import FederationError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.jobs.federation_status import FederationStatus
    from fed_audience.jobs.run_book import RunBook

Once = Annotated[bool, typer.Option("--once", help="End when one run is settled.")]
Timeout = Annotated[
    float | None, typer.Option(min=1, help="Seconds to wait for that. [default: for ever]")
]
JsonLogs = Annotated[bool, typer.Option("--json-logs", help="Log one JSON object a line.")]
Run = Annotated[str, typer.Argument(help="The run, as `federation status` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def coordinator(
    *,
    once: Once = False,
    timeout: Timeout = None,
    json_logs: JsonLogs = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Run the coordinator: sites connect to it, it sums and sees no row; ends on SIGTERM."""
    from fed_audience.jobs.coordinator_service import CoordinatorService  # noqa: PLC0415 - start-up
    from fed_audience.jobs.service import logging_to_stderr  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    with logging_to_stderr(as_json=json_logs):
        done = CoordinatorService(load_federation(config)).run(once=once, timeout=timeout)
    if done is None:
        return
    if done.outcome is None or done.outcome.status not in ("succeeded", "unchanged"):
        why = done.outcome.why if done.outcome else None
        raise FederationError(
            f"run {done.run} made no model", value=why, fix="see the coordinator's log"
        )
    if done.outcome.status == "unchanged":
        typer.echo(f"{done.run}: {done.outcome.why}")
        return
    typer.echo(f"{done.run}: model {done.model_sha256}")


def agent(
    *,
    once: Once = False,
    timeout: Timeout = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Where the agent's clock begins, UTC, for data of another day."),
    ] = None,
    json_logs: JsonLogs = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Run a site's agent: it claims what dbt queued and trains; ends on SIGTERM."""
    from fed_audience.config import secret_from_environment  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.agent_service import run_agent  # noqa: PLC0415
    from fed_audience.jobs.service import logging_to_stderr  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    key = secret_from_environment(load_federation(config).category_key)
    with logging_to_stderr(as_json=json_logs):
        run_agent(
            config,
            key.get_secret_value().encode(),
            once=once,
            timeout=timeout,
            as_of=None if as_of is None else instant_of(as_of),
        )


def status(*, as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    """Show who is connected and signed, what models wait for, the last runs, retraining due."""
    from fed_audience.jobs.federation_status import status_lines  # noqa: PLC0415 - start-up time

    found = _status(config)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    for line in status_lines(found):
        typer.echo(line)


def pause(run: Run, *, config: Config = DEFAULT_CONFIG) -> None:
    """Let a run rest at the end of its level, until it is resumed."""
    _book(config).wish(run, "pause")
    typer.echo(f"{run} rests; go on with: fed-audience federation resume {run} --config {config}")


def resume(run: Run, *, config: Config = DEFAULT_CONFIG) -> None:
    """Let a paused run go on, from where it rested."""
    _book(config).wish(run, None)
    typer.echo(f"{run} goes on when all its sites are connected")


def cancel(run: Run, *, config: Config = DEFAULT_CONFIG) -> None:
    """End a run without a model; the brands' requests end with it."""
    _book(config).wish(run, "cancel")
    typer.echo(f"{run} is cancelled at the end of its level; `dbt build` queues the next")


def features(*, config: Config = DEFAULT_CONFIG) -> None:
    """Show features that are missing, drifting or not as agreed, by brand; exit code 16 for any."""
    from fed_audience.errors import ContractError  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.contracts import Contracts  # noqa: PLC0415
    from fed_audience.jobs.federation_status import feature_findings  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    held = Contracts(load_federation(config)).held()
    if held is None:
        raise ContractError(
            "there is no contract whose features could be compared",
            looked=str(config),
            fix="let all sites join and the agents fetch it",
        )
    found = _status(config)
    findings = feature_findings(held.contract, found.sites)
    for line in findings:
        typer.echo(line)
    told = [site.site for site in found.sites if site.features]
    typer.echo(f"Features were told by {', '.join(told) or 'no site: nothing is queued'}")
    if findings:
        raise ContractError(
            "features are not as the contract says",
            value=f"{len(findings)} findings",
            fix="correct the brand's dbt model, or let every site sign another contract",
        )


def _book(config: Path) -> RunBook:
    """Return the coordinator's runs. Raises UsageError anywhere but at the operator's folder."""
    from fed_audience.jobs.run_book import RunBook  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    own = load_federation(config).coordinator
    if own is None:
        raise UsageError(
            "runs are paused and cancelled where the coordinator is",
            looked=str(config),
            fix="ask the operator; a brand ends its part by stopping its agent",
        )
    return RunBook(own.folder / "runs")


def _status(config: Path) -> FederationStatus:
    """Ask the coordinator from a site; read its file beside it."""
    from fed_audience.jobs.federation_status import STATUS_FILE, read_status  # noqa: PLC0415
    from fed_audience.jobs.service import is_running, utc_now  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415
    from fed_audience.jobs.status_asking import ask_status  # noqa: PLC0415

    settings = load_federation(config)
    if settings.agent is not None:
        from fed_audience.jobs.own_retraining import with_retraining  # noqa: PLC0415

        return with_retraining(ask_status(settings, settings.agent), settings, utc_now())
    own = settings.coordinator
    file = None if own is None else own.folder / STATUS_FILE
    if own is None or file is None or not file.exists():
        raise FederationError(
            "no coordinator has run on this folder",
            looked=str(file or config),
            fix="`fed-audience coordinator`, or ask at a site's folder",
        )
    if not is_running(own.folder, "coordinator"):
        typer.echo("The coordinator is not running; this is what it knew last.", err=True)
    return read_status(file.read_bytes())
