"""`fed-audience identity` and `fed-audience roster`: who a site is, and whom it trains with."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from fed_audience.jobs.members import Members
    from fed_audience.privacy.identity import SiteIdentity
    from fed_audience.privacy.roster import Roster

Config = Annotated[Path, typer.Option("--config", "-c", help="The federation's configuration.")]
_CONFIG = Path("federation.yml")
_KEY_BYTES = 32


def create(site: str, *, config: Config = _CONFIG) -> None:
    """Make a site's key: it signs runs and counter-signs their audit logs."""
    members = _members(config)
    identity = members.create_identity(site)
    _tell(identity)
    typer.echo(f"Private key: {members.key_file(site)} (mode 600; keep a copy where nobody reads)")
    typer.echo(f"Next: fed-audience roster add {site} {_text(identity)}")


def show_identity(site: str, *, config: Config = _CONFIG) -> None:
    """Show a site's public key, which the others put into their roster."""
    _tell(_members(config).identity(site))


def add(
    site: str,
    key: Annotated[str, typer.Argument(help="Its public key, as `identity show` tells it.")],
    *,
    config: Config = _CONFIG,
) -> None:
    """Put a site and its public key into the roster; every site must approve it anew."""
    try:
        raw = b64decode(key, validate=True)
    except (Base64Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise UsageError(
            "that is no public key",
            value=key,
            limit=f"{_KEY_BYTES} bytes in base64",
            fix="copy it from `fed-audience identity show` at that site",
        )
    members = _members(config)
    roster = members.add(site, raw)
    typer.echo(f"{members.roster_file}: {len(roster.keys)} sites, {roster.sha256}")
    typer.echo("Next: fed-audience roster approve SITE, at every site")


def approve(site: str, *, config: Config = _CONFIG) -> None:
    """Sign the roster as a site; it takes part in no run of another one from here on."""
    _show(_members(config).approve(site))


def show_roster(*, config: Config = _CONFIG) -> None:
    """Show the sites of the roster, their keys, and who has approved it."""
    members = _members(config)
    roster = members.roster()
    if roster is None:
        typer.echo(
            f"no roster at {members.roster_file}: the sites of this process are enrolled when a "
            "run begins"
        )
        return
    _show(roster)


def _show(roster: Roster) -> None:
    typer.echo(f"roster {roster.sha256}")
    for site, key in sorted(roster.keys.items()):
        signed = "approved" if site in roster.approvals else "not approved yet"
        typer.echo(f"  {site}  {b64encode(key).decode()}  {signed}")


def _tell(identity: SiteIdentity) -> None:
    typer.echo(f"{identity.name}  {_text(identity)}")


def _text(identity: SiteIdentity) -> str:
    return b64encode(identity.public_key).decode()


def _members(config: Path) -> Members:
    from fed_audience.jobs.members import Members  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    return Members(load_federation(config))
