"""`fed-audience federation show|sign|verify`: the contract that every site signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, Config

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.federation.contract.signing import SignedContract
    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.jobs.contracts import Contracts


def show(*, config: Config = DEFAULT_CONFIG) -> None:
    """Show the contract in words: what every site is asked to sign."""
    signed = _contracts(config).to_sign()
    _tell(signed.contract)
    _tell_signatures(signed)


def sign(
    site: Annotated[str, typer.Argument(help="The site whose key signs.")],
    *,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Sign the contract as a site, which from here on answers no run that differs from it."""
    from fed_audience.jobs.contracts import changed_place  # noqa: PLC0415 - start-up time

    contracts = _contracts(config)
    before = contracts.signed_by(site)
    signed = contracts.sign(site)
    _tell(signed.contract)
    if before is not None and before.contract.sha256 != signed.contract.sha256:
        place = changed_place(before.contract, signed.contract)
        typer.echo(f"Changed since {site} signed last, first of all: {place}")
    typer.echo(f"Signed by {site}: {signed.contract.sha256}")
    if signed.unsigned:
        typer.echo(f"Still to sign: {', '.join(signed.unsigned)}")


def verify(*, config: Config = DEFAULT_CONFIG) -> None:
    """Check every signature under the contract; exit code 16 unless every site has signed."""
    contracts = _contracts(config)
    signed = contracts.to_sign()
    _tell_signatures(signed)
    signed.require(signed.contract.roster)
    typer.echo(f"Every site has signed {signed.contract.sha256}")


def _tell(contract: Contract) -> None:
    rules = contract.privacy
    spent = "" if rules.epsilon is None else f", at most epsilon {rules.epsilon:g} a run"
    typer.echo(f"Contract of {contract.federation}, {contract.sha256}")
    typer.echo(f"  sites         {', '.join(sorted(contract.roster))}")
    typer.echo(
        f"  at least      {contract.minimum_sites} sites, {contract.minimum_rows:,} rows each"
    )
    typer.echo(f"  purposes      {', '.join(contract.purposes)}")
    typer.echo(f"  privacy       {'sums under masks' if rules.secure else 'PLAIN SUMS'}{spent}")
    if rules.overrides:
        typer.echo(f"  set aside     {', '.join(rules.overrides)}")
    typer.echo(f"  destinations  {', '.join(contract.destinations) or 'none'}")
    for site, items in sorted(contract.reports.items()):
        typer.echo(f"  reports       {site}: {', '.join(items) or 'nothing'}")
    for terms in contract.models:
        _tell_model(terms)


def _tell_model(terms: ModelTerms) -> None:
    label = terms.label
    typer.echo(f"  model {terms.name}, {terms.task}, of {', '.join(terms.sites)}")
    typer.echo(f"    {label.column}: {label.definition} ({label.horizon_days} days)")
    typer.echo(f"    {terms.cutoff.column}: {terms.cutoff.definition}")
    for feature in terms.features:
        unit = " ".join(part for part in (feature.unit, feature.currency) if part)
        words = f" in {unit}" if unit else ""
        known = "" if feature.vocabulary is None else f", one of {', '.join(feature.vocabulary)}"
        typer.echo(f"    {feature.name}: {feature.type}{words}{known}: {feature.definition}")


def _tell_signatures(signed: SignedContract) -> None:
    for site in sorted(signed.contract.roster):
        state = "signed" if signed.is_signed_by(site) else "not signed"
        typer.echo(f"  {site}  {state}")


def _contracts(config: Path) -> Contracts:
    from fed_audience.jobs.contracts import Contracts  # noqa: PLC0415 - start-up time
    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415

    return Contracts(load_federation(config))
