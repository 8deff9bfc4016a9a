"""Why a site refuses, in words that hold nothing of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError, ResourceError
from fed_audience.privacy import refusals as privacy

if TYPE_CHECKING:
    from fed_audience.federation.messages import Reason

EXPLANATIONS: Final[dict[str, tuple[str, str]]] = {
    **{str(reason): words for reason, words in privacy.EXPLANATIONS.items()},
    "bad_message": (
        "it cannot read a message",
        "run the same version of fed-audience at the coordinator and at every site",
    ),
    "bad_manifest": (
        "it cannot read the run manifest",
        "run the same version of fed-audience at the coordinator and at every site",
    ),
    "not_in_roster": ("the manifest does not list it", "add the site to the manifest's sites"),
    "wrong_run": ("a message belongs to another run", "start one run at a time at a site"),
    "no_run": ("it was started anew and holds no run", "start the run again"),
    "withdrawn": (
        "rows of the run are no longer there: consent was withdrawn, or the table was built anew",
        "begin a new run over the rows that remain",
    ),
    "rows_changed": (
        "its rows are no longer those that the run began with",
        "begin a new run; a table is not to be built anew while a run is under way",
    ),
    "no_checkpoint": (
        "it keeps no checkpoint, so it cannot tell whether consent was withdrawn meanwhile",
        "begin a new run, and give the site a folder for its checkpoint",
    ),
    "checkpoint": (
        "its checkpoint cannot be written or read",
        "free some space or mend the folder, then resume the run; see the site's log",
    ),
    "wrong_state": ("a request came out of order", "start the run again"),
    "stale_slot": ("a request repeats an earlier round", "start the run again"),
    "changed_request": (
        "a round was asked again with another content",
        "start the run again; a site answers a round once",
    ),
    "missing_column": (
        "a column is missing from its rows",
        "add the column to the site's training table",
    ),
    "missing_feature": (
        "a feature is missing from its rows",
        "add the column, drop the feature, or set allow_missing_features in the manifest",
    ),
    "column_type": (
        "a column has a type that its role cannot have",
        "make numeric features numbers, or declare the feature categorical",
    ),
    "label_values": (
        "its label has values that the objective cannot learn from",
        "make it 0 or 1, a class, or for a demand a number, never null; see the site's log",
    ),
    "weight_values": (
        "its row weights are null, not above 0, or above the manifest's max_weight",
        "correct the weight column, or raise max_weight",
    ),
    "brand_values": (
        "its brand column is null somewhere",
        "give every row the name of its brand",
    ),
    "row_keys": (
        "its row keys are null or not unique",
        "give every row its own key; see the site's log for the number",
    ),
    "no_room": (
        "it has more rows than it keeps in memory, and cannot write them to a temporary file",
        "free some space there, or set TMPDIR to a folder on a larger disk; see the site's log",
    ),
    "too_few_rows": (
        "it has fewer rows than it is willing to train with",
        "wait for more consented rows, or leave the site out of the run",
    ),
    "too_many_rows": (
        "it has more rows than the manifest's row_cap",
        "raise row_cap above the rows of all sites together",
    ),
    "no_identity": (
        "it has no identity to sign with",
        "give the site its key and the roster that all sites approved",
    ),
    "plain_sums": (
        "the run would show the coordinator the site's own sums",
        "train with the secure sum, or let the site's owner accept plain sums",
    ),
    "loose_delta": (
        "the run's delta would let one of its rows leave in the clear",
        "choose a delta far below 1 divided by the number of rows, usually 1e-6",
    ),
    "over_budget": (
        "the privacy budget of its rows does not suffice",
        "choose a smaller epsilon, or let the site's owner raise the limit; see the site's log",
    ),
    "not_kept": (
        "it cannot keep what it would release, or charge it, so nothing is released",
        "free some space at the site, or correct its folders; see the site's log",
    ),
    "other_contract": (
        "the run is not what the site signed in the federation's contract",
        "run what was signed, or let every site sign the changed contract",
    ),
    "workers": (
        "the workers that hold its rows are gone and cannot be started again",
        "mend its cluster, then resume the run; see the site's log",
    ),
    "not_spread": (
        "its rows are spread over workers, and this needs them in one process",
        "leave `workers` out for this site, or leave the site out of this run",
    ),
}


class Refusal(FederationError):  # noqa: N818 - an answer of the protocol, not a fault
    """A site's reason, on its way to the coordinator. ``column`` is a name of the manifest."""

    def __init__(self, reason: Reason, column: str = "", *, detail: object = None) -> None:
        what, fix = EXPLANATIONS[reason]
        named = f"{what} ({column})" if column else what
        super().__init__(named, value=detail, fix=fix)
        self.reason: Reason = reason
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        """Let it travel between the processes of one site."""
        return type(self), (self.reason, self.column), self.__dict__


class SiteRefused(FederationError):  # noqa: N818 - the same, as the coordinator was told
    """``site`` refused a request for ``reason``, a word of the closed list."""

    def __init__(self, site: str, reason: Reason, what: str, fix: str) -> None:
        super().__init__(f"site {site} refused ({reason}): {what}", fix=fix)
        self.site = site
        self.reason: Reason = reason


class RowsChanged(SiteRefused):
    """``site`` does not resume a run: rows are gone or changed, or it cannot tell."""


class SiteHindered(ResourceError, SiteRefused):  # noqa: N818 - a state of the federation
    """A site lacks what it needs, disk or workers; the run can be resumed once it has it."""


def refusal_error(site: str, reason: Reason, column: str) -> SiteRefused:
    """Return the coordinator's error for a refusal of ``site``."""
    what, fix = EXPLANATIONS[reason]
    named = f"{what}: {column}" if column else what
    kind = SiteRefused
    if reason in {"withdrawn", "rows_changed", "no_checkpoint"}:
        kind = RowsChanged
    elif reason in {"checkpoint", "no_room", "ledger", "ledger_in_use", "not_kept", "workers"}:
        kind = SiteHindered
    return kind(site, reason, named, fix)
