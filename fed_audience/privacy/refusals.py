"""Why a party of the secure sum refuses, in words that hold nothing of anyone's rows."""

from __future__ import annotations

from typing import Final, Literal

from fed_audience.errors import FederationError

SecureSumReason = Literal[
    "bad_identity",
    "bad_roster",
    "unapproved_roster",
    "roster_changed",
    "unknown_site",
    "bad_signature",
    "other_terms",
    "missing_key",
    "repeated_key",
    "old_counter",
    "no_keys",
    "replayed",
    "reordered",
    "changed_vector",
    "wrong_cohort",
    "small_cohort",
    "small_change",
    "earlier_cohort",
    "override",
    "no_quorum",
    "not_a_survivor",
    "two_survivor_sets",
    "unsigned_set",
    "no_dropouts",
    "bad_shares",
    "out_of_range",
    "ledger",
    "ledger_in_use",
]

_NEW_RUN: Final = "start the run again under a new run id"
_VERSIONS: Final = "run the same version of fed-audience at the coordinator and at every site"

EXPLANATIONS: Final[dict[SecureSumReason, tuple[str, str]]] = {
    "bad_identity": (
        "the site's identity is not an Ed25519 private key",
        "name a PEM file that holds one, readable by its owner alone",
    ),
    "bad_roster": (
        "the roster cannot be read",
        "take the roster file that every site has approved",
    ),
    "unapproved_roster": (
        "a site has not approved the roster",
        "let every site sign the roster with its own key",
    ),
    "roster_changed": (
        "the coordinator's roster is not the one this site has approved",
        "compare the rosters' hashes; approve the changed one at every site, or restore the old",
    ),
    "unknown_site": (
        "a site of the run is not in the approved roster",
        "add it to the roster and let every site approve it, or leave it out of the run",
    ),
    "bad_signature": (
        "a signature does not belong to the site it names",
        "check that the site signs with the key that stands in the roster",
    ),
    "other_terms": (
        "a site agreed to another run, manifest or roster",
        _VERSIONS,
    ),
    "missing_key": (
        "the run key of a site is missing",
        "bring every site of the run up before it starts",
    ),
    "repeated_key": (
        "two sites present the same run key",
        "give every site an identity of its own",
    ),
    "old_counter": (
        "a site presents a run key that is older than one seen before",
        "the site's ledger was restored from an older copy: " + _NEW_RUN,
    ),
    "no_keys": (
        "the sites have not agreed on keys for this run",
        _NEW_RUN,
    ),
    "replayed": ("a round was asked again that is over", _NEW_RUN),
    "reordered": ("a round came after a later one", _NEW_RUN),
    "changed_vector": (
        "a round was asked again, and the vector would not be the same",
        "a site's rows must not change while it trains; " + _NEW_RUN,
    ),
    "wrong_cohort": (
        "a round names other sites than its tree began with",
        "a tree keeps its sites; " + _NEW_RUN,
    ),
    "small_cohort": (
        "the round has fewer sites than the secure sum needs",
        "wait for more sites, or train with differential privacy",
    ),
    "small_change": (
        "too few sites join or leave together: the difference of two sums would show them",
        "let at least three sites join or leave at the same time",
    ),
    "earlier_cohort": (
        "the same rows were trained on before with almost the same sites",
        "train with the same sites, build the tables anew, or let all sites accept small_change",
    ),
    "override": (
        "the run sets a rule aside that this site holds to",
        "let the site's owner accept it, or train with at least three sites",
    ),
    "no_quorum": (
        "too few sites are left of the round",
        "bring back more sites; two thirds and one must stay",
    ),
    "not_a_survivor": (
        "the set of survivors leaves out the site that is asked to sign it",
        "let the site rest until the next tree",
    ),
    "two_survivor_sets": (
        "a second set of survivors was shown for the same round",
        "do not continue: the coordinator tells the sites different things",
    ),
    "unsigned_set": (
        "not every survivor has signed the set of survivors",
        "collect a signature from each of them first",
    ),
    "no_dropouts": (
        "this round cannot go on without a site",
        "wait for the missing site; the tree ends at its last complete level otherwise",
    ),
    "bad_shares": (
        "the shares of a vanished site cannot be used",
        "end the tree at its last complete level",
    ),
    "out_of_range": (
        "a value does not fit the ring it is to be summed in",
        "raise row_cap above the rows of all sites together",
    ),
    "ledger": (
        "the site's ledger cannot be read or written",
        "check the folder of the ledger; without it no round is answered twice safely",
    ),
    "ledger_in_use": (
        "another process uses the site's ledger",
        "wait until the other training has ended, or stop the site's agent",
    ),
}


class SecureSumError(FederationError):
    """A refusal of the secure sum. ``reason`` is a word of a closed list."""

    def __init__(
        self, reason: SecureSumReason, *, detail: object = None, limit: object = None
    ) -> None:
        what, fix = EXPLANATIONS[reason]
        super().__init__(what, value=detail, limit=limit, fix=fix)
        self.reason: SecureSumReason = reason
