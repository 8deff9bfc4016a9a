"""What follows a withdrawal: `fed-audience consent certificate`, `consent erase`, `consent due`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, AsOf, Config, instant_of
from fed_audience.errors import AuditError, ConsentError, UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fed_audience.jobs.certificate import Certificate
    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.jobs.sites import Site

SiteName = Annotated[
    str | None, typer.Option("--site", help="The brand. [default: the only one of the file]")
]
Out = Annotated[Path | None, typer.Option(help="Write it there, and not here.")]
Verify = Annotated[Path | None, typer.Option(help="Check a certificate, and issue none.")]


def certificate(
    customer: Annotated[str | None, typer.Argument(help="Their customer id.")] = None,
    *,
    site: SiteName = None,
    out: Out = None,
    verify: Verify = None,
    key: Annotated[
        str | None, typer.Option(help="Public key of its site, as `identity show` tells it.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
) -> None:
    """Remove what a person withdrew, and certify where they are still and until when."""
    if verify is not None:
        _verify(verify, customer, key, config)
        return
    if customer is None:
        raise UsageError("whom is it about?", fix="fed-audience consent certificate CUSTOMER")
    from fed_audience.files import check_place, write_whole  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.certificate import issue_certificate  # noqa: PLC0415
    from fed_audience.jobs.members import Members  # noqa: PLC0415

    if out is not None:
        check_place(out, "the certificate", "--out")
    settings, brand, secret = _opened(config, site)
    issued = issue_certificate(
        settings,
        brand,
        customer,
        identity=Members(settings).identity(brand.name),
        secret=secret,
        now=instant_of(as_of),
    )
    if out is None:
        typer.echo(issued.to_json(), nl=False)
    else:
        write_whole(out, issued.to_json().encode(), "the certificate")
        typer.echo(f"{out}: signed by {issued.site}")
    for point in issued.open_points:
        typer.echo(f"open: {point}", err=True)


def erase(
    customer: Annotated[str, typer.Argument(help="Their customer id.")],
    *,
    site: SiteName = None,
    even_if_absent: Annotated[
        bool, typer.Option("--even-if-absent", help="Also when the brand has no such customer.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
) -> None:
    """Erase a person's scores, memberships and delivery state, and keep them from coming back."""
    from fed_audience.jobs.erasure import erase_person  # noqa: PLC0415 - start-up time

    _settings, brand, secret = _opened(config, site)
    done = erase_person(
        brand, customer, secret=secret, now=instant_of(as_of), even_if_absent=even_if_absent
    )
    typer.echo(
        f"{brand.name}: erased as {done.person_key[:8]}… on {done.erased_at:%Y-%m-%d %H:%M} UTC; "
        f"{done.scores} scores and {done.memberships} memberships deleted"
    )
    for one in done.to_remove:
        typer.echo(
            f"{one.destination} still holds the person; next: "
            f"fed-audience sync {one.audience} --config {config}"
        )
    typer.echo("Then delete the person from the brand's own tables; the ledger may stay as it is.")


def due(*, site: SiteName = None, config: Config = DEFAULT_CONFIG, as_of: AsOf = None) -> None:
    """Show models with people who withdrew, and when they must be trained again."""
    from fed_audience.jobs.retraining_due import retraining_due  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415

    settings, now = load_federation(config), instant_of(as_of)
    wanted = [_named(settings, site)] if site else [site_of(one) for one in settings.sites]
    found = retraining_due(settings, wanted, now)
    for one in found:
        typer.echo(one.sentence(now))
    for unknown in wanted:
        if unknown.person_keys is None:
            typer.echo(
                f"{unknown.name} cannot be looked at: {settings.state_key} is not set", err=True
            )
    if not found:
        typer.echo("No model that is in use was trained on anybody who withdrew since.")
    late = [one for one in found if one.overdue(now)]
    if late and settings.withdrawal.overdue == "refuse":
        raise ConsentError(
            "models are overdue for retraining",
            value=", ".join(f"{one.model} at {one.site}" for one in late),
            limit=f"{settings.withdrawal.retrain_within_days} days after a withdrawal",
            fix="`dbt build`, then `fed-audience train MODEL`",
        )


def _verify(file: Path, customer: str | None, key: str | None, config: Path) -> None:
    from fed_audience.jobs.certificate import Certificate  # noqa: PLC0415 - start-up time

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the certificate cannot be read",
            value=getattr(error, "strerror", None) or "not UTF-8 text",
            looked=str(file),
            fix="give the file that `consent certificate --out` wrote",
        ) from None
    found = Certificate.from_json(text, source=str(file))
    whose = _key_of(found, key, config)
    if whose != found.public_key:
        raise AuditError(
            f"the certificate is not signed by {found.site}",
            looked=str(file),
            fix="ask that site for its public key, and for the certificate, again",
        )
    if customer is not None:
        _settings, brand, secret = _opened(config, found.site)
        from fed_audience.consent.person_keys import PersonKeys  # noqa: PLC0415

        if PersonKeys(secret, brand.name).of(customer) != found.person:
            raise AuditError(
                "the certificate is about somebody else", looked=str(file), fix="name the other"
            )
    typer.echo(
        f"signed by {found.site} on {found.document['issued_at'][:10]}, unchanged; "
        f"{len(found.open_points)} points were open"
    )


def _key_of(found: Certificate, key: str | None, config: Path) -> bytes:
    """Return the public key of the certificate's site: as given, of the roster, or our own."""
    from base64 import b64decode  # noqa: PLC0415

    from fed_audience.jobs.members import Members  # noqa: PLC0415
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    if key is not None:
        try:
            return b64decode(key, validate=True)
        except ValueError:
            raise UsageError(
                "--key is no public key", fix="copy it from `fed-audience identity show`"
            ) from None
    members = Members(load_federation(config))
    roster = members.roster()
    if roster is not None and found.site in roster.keys:
        return roster.keys[found.site]
    return members.identity(found.site).public_key


def _opened(config: Path, name: str | None) -> tuple[FederationSettings, Site, SecretStr]:
    from fed_audience.config import secret_from_environment  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    settings = load_federation(config)
    brand = _named(settings, name)
    return settings, brand, secret_from_environment(settings.state_key)


def _named(settings: FederationSettings, name: str | None) -> Site:
    from fed_audience.jobs.sites import site_of  # noqa: PLC0415 - start-up time

    known = {site.name: site for site in settings.sites}
    if name is None and len(known) == 1:
        name = next(iter(known))
    if name not in known:
        raise UsageError(
            "which brand?" if name is None else "no brand of that name",
            value=name,
            limit=", ".join(known) or "none",
            looked="sites in federation.yml",
            fix="name it with --site",
        )
    return site_of(known[name])
