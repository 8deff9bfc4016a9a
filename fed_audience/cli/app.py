"""The commands, in the order in which a newcomer meets them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fed_audience import __version__
from fed_audience.cli import (
    agreement,
    audit,
    consent,
    federation,
    joining,
    membership,
    model,
    overlap,
    processes,
    withdrawal,
)
from fed_audience.cli.budget import budget
from fed_audience.cli.demo import demo
from fed_audience.cli.docs import docs
from fed_audience.cli.inspect_egress import inspect_egress
from fed_audience.cli.simulate import simulate
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


app.command()(demo)
app.command()(simulate)
app.command()(federation.run)
app.command()(federation.train)
app.command()(federation.score)
app.command()(federation.audience)
app.command()(federation.sync)

_identity = typer.Typer(help="A site's key: it signs runs and counter-signs their audit logs.")
_identity.command("create")(membership.create)
_identity.command("show")(membership.show_identity)
app.add_typer(_identity, name="identity")

_roster = typer.Typer(help="The sites that train together, approved by each of them.")
_roster.command("show")(membership.show_roster)
_roster.command("add")(membership.add)
_roster.command("approve")(membership.approve)
app.add_typer(_roster, name="roster")

_federation = typer.Typer(help="The federation's contract, and who takes part in it.")
_federation.command("init")(joining.init)
_federation.command("invite")(joining.invite)
_federation.command("revoke")(joining.revoke)
_federation.command("show")(agreement.show)
_federation.command("sign")(agreement.sign)
_federation.command("verify")(agreement.verify)
_federation.command("status")(processes.status)
_federation.command("features")(processes.features)
_federation.command("pause")(processes.pause)
_federation.command("resume")(processes.resume)
_federation.command("cancel")(processes.cancel)
app.add_typer(_federation, name="federation")

_site = typer.Typer(help="A site's way into a federation.")
_site.command("join")(joining.join)
app.add_typer(_site, name="site")
app.command()(processes.coordinator)
app.command()(processes.agent)

_consent = typer.Typer(
    help="Why a person may be used or not, how many may, what grants it, what follows a withdrawal."
)
_consent.command()(consent.explain)
_consent.command()(consent.funnel)
_consent.command()(consent.coverage)
_consent.command()(consent.check)
_consent.command()(consent.decode)
_consent.command()(withdrawal.certificate)
_consent.command()(withdrawal.erase)
_consent.command()(withdrawal.due)
app.add_typer(_consent, name="consent")

_model = typer.Typer(help="Look at a model file without trusting it.")
_model.command()(model.check)
_model.command()(model.inspect)
_model.command()(model.explain)
_model.command()(model.diff)
app.add_typer(_model, name="model")

_audit = typer.Typer(help="The account of each run, signed by all who took part.")
_audit.command()(audit.show)
_audit.command()(audit.verify)
_audit.command()(audit.fetch)
_audit.command()(audit.export)
app.add_typer(_audit, name="audit")
app.command()(budget)

_overlap = typer.Typer(help="How many customers two brands have in common, without lists.")
_overlap.command()(overlap.key)
_overlap.command()(overlap.start)
_overlap.command()(overlap.answer)
_overlap.command()(overlap.finish)
_overlap.command()(overlap.read)
app.add_typer(_overlap, name="overlap")
app.command()(inspect_egress)
app.command()(docs)
