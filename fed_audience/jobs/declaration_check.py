"""Whether every use of data is declared: what a brand's CI asks before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.jobs.settings import FederationSettings, SiteSettings
    from fed_audience.warehouse.declared_uses import DeclaredUses

LEGAL_BASES: Final = "consent, legitimate_interest or contract"


def undeclared(
    settings: FederationSettings, site: SiteSettings, uses: DeclaredUses
) -> Iterator[str]:
    """Yield in words what ``site`` does not declare, and what to add where.

    Every training model names partners and purpose; every score table has an exposure; every
    audience of the brand has one that names its model, its purpose and a legal basis.
    """
    for model in uses.trainings:
        lacking = []
        if not model.spec.partners:
            lacking.append("partners: [the brands that may take part]")
        if "purpose" not in model.said:
            lacking.append("purpose: train")
        if lacking:
            yield (
                f"{site.name}: training model {model.name} declares no "
                f"{' and no '.join(one.partition(':')[0] for one in lacking)}; add "
                f"{', '.join(lacking)} to its config.meta.fed_audience ({model.file})"
            )
    for table in uses.score_tables:
        if not table.exposed:
            yield (
                f"{site.name}: score table {table.name} has no exposure; add one whose depends_on "
                f"holds ref('{table.name}'), with owner and description ({table.file})"
            )
    yield from _undeclared_audiences(settings, site, uses)


def _undeclared_audiences(
    settings: FederationSettings, site: SiteSettings, uses: DeclaredUses
) -> Iterator[str]:
    for audience in settings.audiences:
        if audience.sites is not None and site.name not in audience.sites:
            continue
        theirs = [
            one
            for one in uses.exposures
            if (one.model, one.purpose) == (audience.model, audience.purpose)
        ]
        if not theirs:
            yield (
                f"{site.name}: no exposure says how audience {audience.name} is used; add one "
                f"with config.meta.fed_audience: {{model: {audience.model}, purpose: "
                f"'{audience.purpose}', legal_basis: consent}}"
            )
        for one in theirs:
            if not one.legal_basis:
                yield (
                    f"{site.name}: exposure {one.name} names no legal basis; add legal_basis: "
                    f"{LEGAL_BASES} to its config.meta.fed_audience"
                )


def require_declared(findings: list[str]) -> None:
    """Raise ConfigError, with the first, when there are ``findings``."""
    if findings:
        more = f"; and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise ConfigError(
            f"not every use of data is declared: {findings[0]}{more}",
            looked="the dbt manifests and federation.yml",
            fix="add what is missing, run `dbt parse`, then `fed-audience docs --check` again",
        )
