"""`fed-audience budget`: how much privacy each data set may spend, and on what it was spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fed_audience.cli.federation import DEFAULT_CONFIG, Config
from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.privacy.budget import Balance, BudgetBook

Book = Annotated[Path | None, typer.Option(help="Another book than the configuration's.")]


def budget(
    data_set: Annotated[
        str | None, typer.Argument(help="Only this data set. [default: all of the book]")
    ] = None,
    *,
    epsilon: Annotated[
        float | None, typer.Option(help="Let the data set spend so much over all its runs.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Delta at which that epsilon holds; below 1 / rows.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    book: Annotated[
        Path | None, typer.Option(help="Another book than the configuration's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what privacy each data set has spent and may spend; with --epsilon, set its limit."""
    import json  # noqa: PLC0415 - start-up time

    from fed_audience.jobs.settings import load_federation  # noqa: PLC0415 - the same
    from fed_audience.privacy.budget import BudgetBook  # noqa: PLC0415 - the same

    opened = BudgetBook(book or load_federation(config).budget_book)
    if epsilon is not None or delta is not None:
        if data_set is None or epsilon is None or delta is None:
            raise UsageError(
                "a limit has a data set, an epsilon and a delta",
                fix="for example `fed-audience budget fashion --epsilon 1 --delta 1e-6`",
            )
        opened.limit(data_set, epsilon, delta)
    balances = opened.balances() if data_set is None else (opened.balance(data_set),)
    if as_json:
        typer.echo(json.dumps(_document(opened, balances), indent=2))
    else:
        _show(opened, balances)


def _document(book: BudgetBook, balances: Sequence[Balance]) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415 - start-up time

    return {
        "book": str(book.path),
        "head": book.head,
        "data_sets": [
            {
                "data_set": one.data_set,
                "limit": asdict(one.limit) | {"mu": one.limit.mu} if one.limit else None,
                "spent": {"mu": one.mu, "epsilon": one.epsilon},
                "left": {"mu": one.mu_left, "epsilon": one.epsilon_left},
                "charges": [asdict(charge) for charge in one.charges],
            }
            for one in balances
        ],
    }


def _show(book: BudgetBook, balances: Sequence[Balance]) -> None:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - the same

    console = Console()
    for one in balances:
        console.print(_summary(one), highlight=False, soft_wrap=True, markup=False)
        if not one.charges:
            continue
        table = Table("run", "for", "mu", "delta", box=None, header_style="dim")
        for charge in one.charges:
            table.add_row(charge.run_id, charge.purpose, f"{charge.mu:.4g}", f"{charge.delta:g}")
        console.print(table)
    if not balances:
        console.print("No data set has a limit, and none has spent anything.")
    console.print(
        f"Book: {book.path}, head {book.head or 'none'}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _summary(one: Balance) -> str:
    if one.limit is None:
        spent = f"mu {one.mu:.4g} spent" if one.charges else "nothing spent"
        return f"{one.data_set}: no limit set, so nothing may be spent; {spent}"
    return (
        f"{one.data_set}: epsilon {one.epsilon:.4g} of {one.limit.epsilon:g} spent at delta "
        f"{one.limit.delta:g} (mu {one.mu:.4g} of {one.limit.mu:.4g}); one further run may cost "
        f"epsilon {one.epsilon_left:.4g}"
    )
