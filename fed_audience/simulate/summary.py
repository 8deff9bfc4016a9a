"""A simulation's outcome in the terminal: tables, what they mean, what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fed_audience.simulate.brand_summary import BRAND_FOOTNOTE, brand_meaning, brand_table
from fed_audience.simulate.link import ADVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fed_audience.simulate.link import LinkEstimate
    from fed_audience.simulate.outcome import LookalikeOutcome, Outcome, SiteOutcome

_SHOWN_SITES: Final = 20
_COLOURS: Final = {"gains": "green", "loses": "red", "no difference": "default"}
_CLOSE: Final = 0.03
_SHOWN_FEATURES: Final = 15
_BAR: Final = 30

TITLES: Final = {
    "auc": "AUC",
    "deviance": "deviance",
    "rmse": "RMSE",
    "mae": "MAE",
    "logloss": "log loss",
    "accuracy": "accuracy",
}
"""How the measures of an outcome are called; the first that it has judges its sites."""


def print_summary(outcome: Outcome, json: Path | None, console: Console | None = None) -> None:
    """Print tables, warnings, what they mean, where ``json`` went and the next step."""
    out = console or Console(highlight=False)
    out.print(
        f"\n[bold]{escape(outcome.file)}[/]: {outcome.rows:,} rows, {outcome.features} features, "
        f"{len(outcome.sites)} sites ({escape(outcome.split)}), {outcome.rows_test:,} rows to "
        f"test on; {escape(_predicted(outcome))}\n"
    )
    out.print(_learners(outcome))
    out.print()
    out.print(_sites(outcome.per_site))
    out.print(_footnote(outcome), style="dim")
    if outcome.brand_comparison:
        out.print(brand_table(outcome.brand_comparison))
        out.print(BRAND_FOOTNOTE, style="dim")
    if outcome.mean_shap:
        out.print(_explained(outcome.mean_shap))
        out.print("Mean |SHAP| over the rows of all sites, in raw scores.\n", style="dim")
    if outcome.lookalike:
        seed_site = escape(outcome.lookalike.seed_site)
        out.print(f"Lookalike of the positives of {seed_site}, judged by the hidden labels:")
        out.print(_lookalike(outcome.lookalike))
        out.print()
    for note in outcome.notes:
        out.print(f"note: {escape(note)}", style="dim")
    for warning in outcome.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    if outcome.notes or outcome.warnings:
        out.print()
    for line in meaning(outcome):
        out.print(escape(line))
    if json is not None:
        out.print(f"The whole result: {escape(str(json))}")
    out.print(f"Next: {escape(next_step(outcome))}")


def meaning(outcome: Outcome) -> Iterator[str]:
    """Say in plain words what was found."""
    hashes = outcome.model_sha256
    if hashes.federated == hashes.pooled:
        yield f"Federated and pooled model are equal to the byte (sha256 {hashes.federated[:12]})."
    for verdict, words in (
        ("gains", "Federating pays at"),
        ("no difference", "No clear difference at"),
        ("loses", "Training alone is better at"),
    ):
        names = [site.name for site in outcome.per_site if site.verdict == verdict]
        if names:
            yield f"{words} {_listed(names)}."
    unknown = [site.name for site in outcome.per_site if site.verdict is None]
    if unknown:
        yield f"Nothing to compare at {_listed(unknown)} (see the warnings)."
    if outcome.split == "iid":
        yield "The sites were cut at random, so they are alike; real brands differ more."
    largest = max(outcome.bytes_up_per_site)
    yield (
        f"{outcome.rounds:,} rounds; at most {_size(largest)} left a site, sums of histograms "
        "and never a row."
    )
    if outcome.link is not None:
        yield from _link_meaning(outcome.link)
    yield f"Privacy: {'; '.join(outcome.privacy.sentences)}."
    if outcome.privacy.epsilon is not None:
        yield "The models that the federated one is compared with are not private."
    if outcome.brand_comparison:
        yield from brand_meaning(outcome.brand_comparison)
    if outcome.lookalike:
        yield from _lookalike_meaning(outcome.lookalike)


def next_step(outcome: Outcome) -> str:
    """Name the command to try next."""
    if outcome.split == "iid":
        return "cut the rows as your brands differ: --site-column COLUMN, or --split time"
    losing = any(site.verdict == "loses" for site in outcome.per_site)
    if losing and outcome.brand_comparison is None:
        return "see what brands gain by trees of their own on the shared model: --compare"
    if outcome.task == "propensity" and len(outcome.sites) > 1:
        richest = max(outcome.per_site, key=lambda site: site.positives or 0)
        return (
            f"find look-alikes of {richest.name}'s positives at the other sites: "
            f"--task lookalike --seed-site '{richest.name}'"
        )
    return "fed-audience demo, the whole way from raw tables to a delivered audience"


def _link_meaning(link: LinkEstimate) -> Iterator[str]:
    parts = {
        "computing": link.computing,
        "round trips": link.round_trips,
        "transfer": link.transfer,
    }
    told = ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in parts.items())
    yield (
        f"Between machines at {link.rtt_ms:g} ms and {link.mbps:g} Mbit/s this training would take "
        f"about {link.total:,.1f} s ({told}): {ADVICE[link.dominated_by]}."
    )


def _lookalike_meaning(lookalike: LookalikeOutcome) -> Iterator[str]:
    close = [t.name for t in lookalike.targets if t.gap is not None and t.gap <= _CLOSE]
    far = [t.name for t in lookalike.targets if t.gap is not None and t.gap > _CLOSE]
    seeds = f"{lookalike.seeds:,} seeds of {lookalike.seed_site}"
    if close:
        yield f"The {seeds} rank almost as well as own labels would at {_listed(close)}."
    if far:
        yield f"The {seeds} rank clearly worse than own labels would at {_listed(far)}."
    yield "A lookalike's score is a rank, not a probability, where there are no labels."


def _predicted(outcome: Outcome) -> str:
    if outcome.positive is not None:
        return f"positive is {outcome.label} = {outcome.positive}"
    if outcome.classes:
        return f"{outcome.label} is one of {len(outcome.classes)} classes"
    return f"{outcome.label} is a number ({outcome.objective})"


def _footnote(outcome: Outcome) -> str:
    if outcome.auc is not None:
        return "AUC on each site's own test rows; ± is the 95 % interval (DeLong).\n"
    title = TITLES[outcome.per_site[0].measure]
    return (
        f"{title} on each site's own test rows, lower is better; the difference is what federating "
        "saves, ± its 95 % interval.\n"
    )


def _learners(outcome: Outcome) -> Table:
    """Make one line a learner, on all test rows."""
    qualities = {
        title: quality
        for name, title in TITLES.items()
        if (quality := getattr(outcome, name)) is not None
    }
    table = _table("learner", *qualities, "seconds")
    federated, lightgbm = outcome.seconds.federated, outcome.seconds.pooled_lightgbm
    for name, field, seconds in (
        ("federated", "federated", f"{federated:.2f}"),
        ("LightGBM, pooled rows", "pooled_lightgbm", f"{lightgbm:.2f}"),
        ("same learner, pooled rows", "pooled_same_learner", ""),
        ("average of site models", "site_average", ""),
    ):
        values = [_number(getattr(quality, field)) for quality in qualities.values()]
        table.add_row(name, *values, seconds, style="bold" if field == "federated" else None)
    title, judged = next(iter(qualities.items()))
    alone = sorted(value for value in judged.site_alone if value is not None)
    if alone:
        best_last = alone if title == "AUC" else alone[::-1]
        spread = f"{best_last[0]:.4f} - {best_last[-1]:.4f}"
        table.add_row("a site alone, worst to best", spread, *[""] * len(qualities))
    return table


def _sites(sites: Sequence[SiteOutcome]) -> Table:
    """Make one line a site, measured on its own test rows."""
    positives = ["positives"] if any(site.positives is not None for site in sites) else []
    table = _table("site", "rows", *positives, "alone", "federated", "difference", "")
    for site in sites[:_SHOWN_SITES]:
        table.add_row(
            escape(site.name),
            f"{site.rows:,}",
            *([f"{site.positives:,}"] if positives else []),
            _number(site.alone),
            _number(site.federated),
            _difference(site),
            f"[{_COLOURS[site.verdict]}]{site.verdict}[/]" if site.verdict else "",
        )
    if len(sites) > _SHOWN_SITES:
        blank = [""] * (len(table.columns) - 1)
        table.add_row(f"... and {len(sites) - _SHOWN_SITES} more", *blank)
    return table


def _explained(mean_shap: dict[str, float]) -> Table:
    table = Table("feature", "moves the score by", "", box=None, header_style="dim")
    table.columns[1].justify = "right"
    longest = max(mean_shap.values())
    for name, value in list(mean_shap.items())[:_SHOWN_FEATURES]:
        bar = "█" * round(_BAR * value / longest) if longest else ""
        table.add_row(escape(name), f"{value:.4f}", bar)
    if (more := len(mean_shap) - _SHOWN_FEATURES) > 0:
        table.add_row(f"... and {more} more", "", "")
    return table


def _lookalike(lookalike: LookalikeOutcome) -> Table:
    table = _table(
        "at",
        "AUC",
        "own labels",
        "vs everyone",
        "lift at 5 %",
        "own labels",
        "features",
    )
    for target in lookalike.targets[:_SHOWN_SITES]:
        used, left = len(target.features_used), len(target.features_left_out)
        table.add_row(
            escape(target.name),
            _number(target.auc),
            _number(target.auc_own_labels),
            _number(target.auc_seeds_against_everyone),
            _number(target.lift_at_5_percent, digits=2),
            _number(target.lift_own_labels, digits=2),
            f"{used} of {used + left}",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _difference(site: SiteOutcome) -> str:
    if site.delta is None or site.ci is None:
        return "-"
    reach = max(site.delta - site.ci[0], site.ci[1] - site.delta)
    return f"{site.delta:+.4f} ±{reach:.4f}"


def _number(value: float | None, *, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - as shown


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
