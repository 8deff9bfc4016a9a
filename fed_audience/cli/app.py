"""The commands, in the order in which a newcomer meets them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fed_audience import __version__
from fed_audience.errors import RunInterrupted


class _Commands(TyperGroup):
    """Commands whose Ctrl-C ends in our own error, with its own exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise RunInterrupted("stopped by the user; what was finished is kept") from None


app = typer.Typer(
    name="fed-audience",
    cls=_Commands,
    help="Train audience models across brands without moving a row, honouring every consent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the flag over by position
    if wanted:
        typer.echo(f"fed-audience {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train audience models across brands without moving a row, honouring every consent."""
