"""`fed-audience federation init|invite|revoke` and `fed-audience site join`: who takes part."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, Config
from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from fed_audience.federation.certificates import TlsFiles
    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.settings import FederationSettings

TOKEN_VARIABLE: Final = "FED_AUDIENCE_INVITATION"  # noqa: S105 - the name of a variable
_MOST_DAYS: Final = 30
Site = Annotated[str, typer.Argument(help="The site's name.")]


def init(
    name: Annotated[str, typer.Argument(help="The federation's name: small letters, digits, _.")],
    *,
    host: Annotated[
        str, typer.Option(help="The name or address under which sites reach this machine.")
    ] = "localhost",
    listen: Annotated[
        str, typer.Option(help="Where the coordinator listens, host:port.")
    ] = "0.0.0.0:7443",
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Make a coordinator's folder: federation.yml, keys, a development authority's certificates."""
    from fed_audience.federation.development_authority import NOTICE  # noqa: PLC0415 - start-up
    from fed_audience.jobs.founding import found  # noqa: PLC0415

    settings = found(config, name=name, host=host, listen=listen)
    _, own = _coordinator(settings)
    typer.echo(f"Configuration: {config}")
    typer.echo(f"Certificates: {own.certificates}")
    typer.secho(f"DEVELOPMENT AUTHORITY. {NOTICE}", fg="yellow", bold=True)
    typer.echo("Next: declare a model in the configuration, then for each site")
    typer.echo(f"  fed-audience federation invite SITE --config {config}")


def invite(
    site: Site,
    *,
    days: Annotated[int, typer.Option(min=1, max=_MOST_DAYS, help="How long it is good.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Where the invitation goes. [default: SITE.invitation]")
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Invite a site: a token that is good once. Hand the file to that site, and to nobody else."""
    from fed_audience.files import write_whole  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.invitations import Invitations  # noqa: PLC0415
    from fed_audience.jobs.service import utc_now  # noqa: PLC0415

    settings, own = _coordinator(_load(config))
    invitation = Invitations(settings, own, utc_now).invite(site, days)
    path = out or Path(f"{site}.invitation")
    write_whole(path, f"{invitation.to_text()}\n".encode(), "the invitation", mode=0o600)
    typer.echo(f"Invitation of {site} to {invitation.address}, good once, {days} days: {path}")
    typer.echo("It is a secret. At the site, with the coordinator running:")
    typer.echo(f"  fed-audience site join --token-file {path.name} --project DBT_PROJECT")


def revoke(site: Site, *, config: Config = DEFAULT_CONFIG) -> None:
    """Take a site out of the roster: it is cut off at once, and every site signs anew."""
    from fed_audience.jobs.invitations import Invitations  # noqa: PLC0415
    from fed_audience.jobs.members import Members  # noqa: PLC0415
    from fed_audience.jobs.service import utc_now  # noqa: PLC0415 - start-up time

    settings, own = _coordinator(_load(config))
    roster = Members(settings).remove(site)
    Invitations(settings, own, utc_now).withdraw(site)
    typer.echo(f"{site} is out of the roster; {len(roster.keys)} sites are left")
    typer.echo("The contract has changed with it: `fed-audience federation sign` at every site")


def join(
    *,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="The invitation's file.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", help="`env`: the invitation is in FED_AUDIENCE_INVITATION."),
    ] = None,
    project: Annotated[Path, typer.Option(help="The brand's dbt project.")] = Path(),
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Join a federation: make keys, get a certificate and the contract from the coordinator."""
    from fed_audience.federation.contract.joining import Invitation  # noqa: PLC0415 - start-up time
    from fed_audience.jobs import joining  # noqa: PLC0415

    invitation = Invitation.from_text(_invitation(token_file, token))
    contract = joining.join(invitation, config, project.resolve(), _ask)
    site = invitation.site
    typer.echo(f"{site} has joined {invitation.federation}; its keys and certificate are here")
    if contract is None:
        typer.echo("The contract comes with the agent, once all sites have joined. Next:")
    else:
        typer.echo(f"Contract: {contract.contract.sha256}. Read it, sign it. Next:")
    typer.echo(f"  fed-audience agent --config {config}")
    typer.echo(f"  fed-audience federation show --config {config}")
    typer.echo(f"  fed-audience federation sign {site} --config {config}")


def _invitation(file: Path | None, token: str | None) -> str:
    if (file is None) == (token is None):
        raise UsageError(
            "an invitation is needed, from one place",
            limit="--token-file FILE, or --token env",
            fix="give the file that the operator sent",
        )
    if file is not None:
        try:
            return file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                "the invitation cannot be read",
                value=getattr(error, "strerror", None) or "not plain text",
                looked=str(file),
                fix="give the path of the file that the operator sent",
            ) from None
    if token != "env":  # noqa: S105 - the word that is allowed
        raise UsageError(
            "a token is not given on the command line, where other users read it",
            limit="--token env",
            fix=f"put it into {TOKEN_VARIABLE}, or give --token-file",
        )
    text = os.environ.get(TOKEN_VARIABLE)
    if not text:
        raise UsageError(
            "there is no invitation in the environment",
            looked=TOKEN_VARIABLE,
            fix="export it, or give --token-file",
        )
    return text


def _ask(address: str, tls: TlsFiles, kind: str, body: bytes, site: str) -> bytes:
    from fed_audience.federation.transports.grpc import ask_coordinator  # noqa: PLC0415 - an extra

    return ask_coordinator(address, tls, kind, body, site=site)


def _load(config: Path) -> FederationSettings:
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415 - start-up time

    return load_federation(config)


def _coordinator(settings: FederationSettings) -> tuple[FederationSettings, CoordinatorSettings]:
    """Return the settings with the coordinator's part. Raises UsageError without one."""
    if settings.coordinator is None:
        raise UsageError(
            "this is for the operator's federation.yml, which has a `coordinator`",
            looked=settings.name,
            fix="run it where `fed-audience federation init` was run",
        )
    return settings, settings.coordinator
