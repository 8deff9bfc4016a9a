"""`fed-audience simulate`: whether federating pays on your own data."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads annotations while the program runs
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fed_audience.cli.inspect_egress import RecordEgress, recording
from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fed_audience.simulate.run import Stage

_USUAL_MBPS: Final = 100.0


def simulate(  # noqa: PLR0913 - one parameter a flag
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="One table: CSV, gzipped CSV or Parquet.")
    ],
    label: Annotated[str, typer.Option(help="Column to predict.")],
    *,
    positive: Annotated[
        str | None, typer.Option(help="Value of the label that counts as positive.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Columns to leave out: A,B or repeated.")
    ] = None,
    site_column: Annotated[
        str | None, typer.Option(help="Column that says at which site a row is.")
    ] = None,
    sites: Annotated[
        int | None, typer.Option(help="Cut the rows into so many sites. [default: 3]")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="How: iid, time or dirichlet:ALPHA. [default: iid]")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="A file of test rows.")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share of rows to test on. [default: 0.25]")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="propensity, lookalike, demand or multiclass. [default: propensity]"),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="binary, multiclass, or for a number poisson, tweedie or regression. "
            "[default: the task's]"
        ),
    ] = None,
    seed_site: Annotated[
        str | None, typer.Option(help="Site that holds the seeds of a lookalike.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows stay together, e.g. a customer id.")
    ] = None,
    weight: Annotated[
        str | None, typer.Option(help="Column that says how much a row counts.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Also measure what a base score, a feature or trees of its own bring each site.",
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show how far each feature moves the scores.")
    ] = False,
    trees: Annotated[int, typer.Option(help="Number of trees.")] = 100,
    depth: Annotated[int, typer.Option(help="Depth of a tree.")] = 6,
    learning_rate: Annotated[float, typer.Option(help="Learning rate.")] = 0.1,
    max_bin: Annotated[int, typer.Option(help="Bins a feature.")] = 255,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Another training parameter, under LightGBM's name; repeatable. "
            "For example lambda_l1=0.5 or monotone_constraints=age:+1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="Threads of every learner. [default: one a core]")
    ] = None,
    rtt_ms: Annotated[
        float | None,
        typer.Option(help="Estimate the training over a link: its round trip in ms."),
    ] = None,
    mbps: Annotated[
        float | None,
        typer.Option(help="Of --rtt-ms: megabits a second at the coordinator. [default: 100]"),
    ] = None,
    secure: Annotated[
        bool, typer.Option(help="Sum over the sites under masks, as between brands.")
    ] = True,
    epsilon: Annotated[
        float | None,
        typer.Option(
            help="Train the federated model with differential privacy, by a recipe that has its "
            "own trees, depth, rate and bins; the others are trained without."
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Of --epsilon, far below 1 / number of rows. [default: 1e-6]"),
    ] = None,
    colluders: Annotated[
        int | None,
        typer.Option(help="Of --epsilon: sites that may collude. [default: a third]"),
    ] = None,
    public_range: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=LOW:HIGH",
            help="Of --epsilon: range that a number may be known to have; repeatable. "
            "[default: read off the table]",
        ),
    ] = None,
    public_categories: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=A|B|C",
            help="Of --epsilon: categories that may be known; repeatable. "
            "[default: read off the table]",
        ),
    ] = None,
    budget_book: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of --epsilon: charge this budget book, in which FILE's name has a limit.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the whole result there.")] = None,
    record_egress: RecordEgress = None,
) -> None:
    """Simulate a federation from one table, and compare it with pooled and alone.

    Compared on the same test rows: the federated model, LightGBM on the pooled rows, our learner
    on the pooled rows, every site alone, and the average of the sites' models.
    """
    if site_column is not None and (sites is not None or split is not None):
        raise UsageError(
            "--site-column names the sites, --sites and --split would cut them",
            fix="give one or the other",
        )
    if test is not None and test_fraction is not None:
        raise UsageError(
            "--test brings the test rows, --test-fraction would draw them",
            fix="give one or the other",
        )
    if json is not None:
        _refuse_place(json, file, test)
    from fed_audience.simulate.link import Link  # noqa: PLC0415 - start-up time
    from fed_audience.simulate.outcome import write_json  # noqa: PLC0415 - start-up time
    from fed_audience.simulate.run import simulate as run  # noqa: PLC0415 - the same
    from fed_audience.simulate.settings import (  # noqa: PLC0415 - the same
        SimulationSettings,
        parse_categories,
        parse_options,
        parse_ranges,
        task_of,
    )
    from fed_audience.simulate.summary import print_summary  # noqa: PLC0415 - the same

    chosen: dict[str, Any] = {
        "sites": sites,
        "split": split,
        "test_fraction": test_fraction,
        "threads": threads,
        "delta": delta,
    }
    if delta is not None and epsilon is None:
        raise UsageError("--delta belongs to --epsilon", fix="add --epsilon 1")
    if mbps is not None and rtt_ms is None:
        raise UsageError("--mbps belongs to --rtt-ms", fix="add --rtt-ms 50")
    settings = SimulationSettings(
        path=file,
        label=label,
        positive=positive,
        drop=tuple(name.strip() for names in drop or () for name in names.split(",") if name),
        site_column=site_column,
        test=test,
        task=task_of(task, objective),
        objective=objective,
        weight=weight,
        compare=compare,
        explain=explain,
        seed_site=seed_site,
        group=group,
        trees=trees,
        depth=depth,
        learning_rate=learning_rate,
        max_bin=max_bin,
        seed=seed,
        options=parse_options(param or ()),
        secure=secure,
        epsilon=epsilon,
        colluders=colluders,
        public_ranges=parse_ranges(public_range or ()),
        public_categories=parse_categories(public_categories or ()),
        budget_book=budget_book,
        link=None if rtt_ms is None else Link(rtt_ms, _USUAL_MBPS if mbps is None else mbps),
        **{name: value for name, value in chosen.items() if value is not None},
    )
    with _progress() as on_stage, recording(record_egress) as recorder:
        outcome = run(settings, on_stage=on_stage, on_message=recorder)
    if json is not None:
        write_json(outcome, json)
    print_summary(outcome, json)


def _refuse_place(json: Path, *inputs: Path | None) -> None:
    """Raise UsageError where the result cannot go, before anything is read or trained."""
    folder = json.absolute().parent
    if not folder.is_dir():
        raise UsageError(
            "the folder for --json does not exist",
            looked=str(folder),
            fix="create it, or choose another path",
        )
    if json.is_dir():
        raise UsageError(
            "--json is a folder", value=json, looked=str(folder), fix="name a file in it"
        )
    if not os.access(folder, os.W_OK):
        raise UsageError(
            "the folder for --json is not writable",
            looked=str(folder),
            fix="choose another path",
        )
    read = {os.path.realpath(path) for path in inputs if path is not None}
    if os.path.realpath(json) in read:
        raise UsageError(
            "--json would overwrite the table that is read",
            value=json,
            looked=str(folder),
            fix="choose another path",
        )


@contextmanager
def _progress() -> Iterator[Callable[[Stage], None] | None]:
    """Show what is being done on stderr where someone watches it, nothing elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - rich costs start-up time
    from rich.markup import escape  # noqa: PLC0415 - the same

    from fed_audience.report.formatting import size  # noqa: PLC0415 - the same

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("starting") as status:

        def on_stage(stage: Stage) -> None:
            most = f", at most {size(stage.level_bytes)} a site and level"
            trees = f", tree {stage.trees} of {stage.of}"
            begun = (most if stage.level_bytes else "") + (trees if stage.of else "")
            status.update(f"{escape(stage.text)}{begun}")

        yield on_stage
