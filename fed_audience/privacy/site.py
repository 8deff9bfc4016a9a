"""A site's side of the secure sum: it masks, and helps to open sums of many sites only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fed_audience.privacy import cohorts, run_keys, survivors
from fed_audience.privacy.deposits import Deposits
from fed_audience.privacy.fingerprint import fingerprint
from fed_audience.privacy.kept_keys import RunKeys
from fed_audience.privacy.masks import RING_64, Ring, RingVector, masked
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.run_keys import KeyCard, Override, RunTerms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.privacy.identity import SiteIdentity
    from fed_audience.privacy.ledger import SiteLedger
    from fed_audience.privacy.roster import Roster
    from fed_audience.privacy.rounds import Round


@dataclass(frozen=True, slots=True)
class Consent:
    """A survivor's signature under the set, and what the sum over that set needs besides.

    ``pair_keys``: dropped site -> key of the pair in this round and attempt alone.
    """

    signature: bytes
    pair_keys: Mapping[str, bytes]


class SecureSite:
    """The secrets of one site and the rules by which it uses them.

    ``roster``: the one this site has approved. ``ledger`` remembers what was answered.
    ``accepts``: rules that the site's owner allows a run to set aside. ``build``: what the rows
    of this site are a state of; while it stays, cohorts of different runs are compared.
    Every method raises SecureSumError with a named reason, before anything leaves.
    """

    def __init__(
        self,
        identity: SiteIdentity,
        roster: Roster,
        ledger: SiteLedger,
        *,
        accepts: Collection[Override] = (),
        build: str | None = None,
    ) -> None:
        roster.check()
        if roster.key_of(identity.name) != identity.public_key:
            raise SecureSumError("unknown_site", detail=identity.name)
        self.name = identity.name
        self._identity = identity
        self._roster = roster
        self._ledger = ledger
        self.accepts = frozenset(accepts)
        self._build = build
        self._keys: RunKeys | None = None

    @property
    def roster(self) -> Roster:
        """The roster that this site has approved."""
        return self._roster

    @property
    def survivors(self) -> tuple[str, ...]:
        """The set that this site signed for its last root; empty before it signed one."""
        return self._keys.record.survivors if self._keys is not None else ()

    def kept(self) -> str:
        """Return the secrets of the run as a text, for ``take_up`` after a restart."""
        return "" if self._keys is None else self._keys.to_text()

    def take_up(self, kept: str) -> KeyCard | None:
        """Go on with the secrets in ``kept`` where the ledger says this site was.

        Returns the card that the site presented; None when it had not.
        """
        self._keys = RunKeys.of_text(kept, self._ledger) if kept else None
        return None if self._keys is None else self._keys.card

    def forget(self, kept: str = "") -> None:
        """Burn the secrets of the run at hand, or of the one in ``kept``: no round is answered.

        Seeds of self-masks derive from a secret in the ledger; another takes its place.
        """
        keys = RunKeys.of_text(kept, self._ledger) if kept else self._keys
        self._keys = None
        if keys is not None:
            self._ledger.save(replace(keys.record, secret=secrets.token_hex(32)))

    def present(self, terms: RunTerms, roster: Roster) -> KeyCard:
        """Agree to ``terms`` and present a fresh run key, signed.

        Refuses a roster other than the approved one, sites outside it, cohorts of fewer than
        three, and cohorts that differ too little from an earlier run's on the same rows, unless
        either run adds noise.
        """
        roster.check()
        if not roster.sha256 == terms.roster_sha256 == self._roster.sha256:
            raise SecureSumError("roster_changed", detail=roster.sha256, limit=self._roster.sha256)
        cohorts.check_terms(self.name, terms, self._roster, self.accepts, self._earlier)
        begun = self._ledger.record(terms.run, terms.sha256)
        record = replace(begun, counter=begun.counter + 1)
        self._ledger.save(record)
        # What noise hides, it hides from later sums as well.
        if self.name in terms.training_sites and not terms.noisy:
            self._note(terms.training_sites)
        private = X25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        signature = self._identity.sign(terms.text(self.name, record.counter, public))
        card = KeyCard(self.name, record.counter, public, signature)
        self._keys = RunKeys(terms, record, card, private, {}, "")
        return card

    def agree(self, cards: Mapping[str, KeyCard]) -> str:
        """Check every site's card and derive the secrets of each pair; return the cards' hash.

        Refuses cards that are unsigned, unknown, repeated or older than one seen before.
        """
        keys = self._keys
        if keys is None or (keys.private is None and keys.transcript == ""):
            raise SecureSumError("no_keys")
        transcript = run_keys.check_cards(cards, keys.terms, self._roster)
        if keys.private is None:
            if transcript != keys.transcript:
                raise SecureSumError("replayed", detail="keys are agreed already")
            return transcript
        if cards[self.name] != keys.card:
            raise SecureSumError("old_counter", detail=self.name, limit=keys.card.counter)
        seen = {site: (c.counter, c.public_key.hex()) for site, c in cards.items()}
        for site, (counter, key) in seen.items():
            before, key_before = keys.record.peers.get(site, (0, ""))
            if counter < before or (counter == before and key != key_before):
                raise SecureSumError("old_counter", detail=f"{site}: {counter}", limit=before)
        self._write(keys, peers=seen)
        keys.pairs = run_keys.pair_secrets(self.name, keys.private, cards, keys.terms)
        keys.private = None
        keys.transcript = transcript
        return transcript

    def mask(
        self,
        asked: Round,
        cohort: Sequence[str],
        values: NDArray[np.int64],
        ring: Ring = RING_64,
        out: RingVector | None = None,
    ) -> RingVector:
        """Return ``values`` int64[n] as ring elements under masks that cancel over ``cohort``.

        They are written into ``out`` where that is given. The same round may be asked again, with
        the same bytes; under a later attempt with the same vector, over the same sites or the
        survivors that were signed. ``ring`` of 32 bits is for sums that the caller knows to fit: a
        value of its own is checked here.
        """
        keys = self._agreed(asked)
        sites = tuple(sorted(cohort))
        vector = ring.elements(values)
        self._enter(keys, asked, sites, fingerprint(keys.record.secret, asked, vector), ring)
        add, subtract = self._round_keys(keys, asked, sites, ring)
        return masked(vector, add, subtract, out)

    def sign_survivors(self, asked: Round, alive: Sequence[str]) -> Consent:
        """Sign that ``alive`` are the sites whose sum this round opens; one set a round.

        ``asked`` must be the last round masked. The set is in the ledger before it is signed. The
        keys of pairs with the dropped go along, so that a survivor who vanishes afterwards leaves
        nothing but its own mask, of which others hold shares. They open nobody's vector: a
        dropped site's own mask is never revealed, whatever set others were shown.
        """
        keys = self._current(asked)
        record = keys.record
        chosen = tuple(alive)
        if not cohorts.tolerant(keys.terms, record.cohort, asked):
            raise SecureSumError("no_dropouts", detail=asked.position)
        if record.survivors and record.survivors != chosen:
            raise SecureSumError("two_survivor_sets", detail=asked.position)
        survivors.check_survivors(record.cohort, chosen)
        if self.name not in chosen:
            raise SecureSumError("not_a_survivor", detail=self.name)
        cohorts.check_change([*record.opened, chosen], keys.terms)
        cohorts.check_earlier(chosen, self._earlier, keys.terms)
        self._note(chosen)
        self._write(keys, survivors=chosen, opened=cohorts.joined(record.opened, chosen))
        dropped = {
            site: run_keys.round_key(keys.pair(site), asked, record.cohort, record.bits)
            for site in record.cohort
            if site not in chosen
        }
        return Consent(self._identity.sign(self._survivors_text(keys, asked)), dropped)

    def reveal(self, asked: Round, signatures: Mapping[str, bytes]) -> bytes:
        """Give away the seed of this site's own mask, 32 bytes, once all survivors have signed.

        A round that was asked again under a later attempt is never revealed.
        """
        keys = self._signed(asked, signatures)
        return run_keys.self_mask_seed(bytes.fromhex(keys.record.secret), asked)

    def share_out(self, first_tree: int, cohort: Sequence[str]) -> dict[str, bytes]:
        """Seal shares of the seeds of 16 trees' roots for the sites of ``cohort``.

        A later cohort begins anew: shares of an earlier one are forgotten.
        """
        keys = self._with_keys()
        sites = tuple(sorted(cohort))
        if self.name not in sites or not set(sites) <= set(keys.terms.training_sites):
            raise SecureSumError("wrong_cohort", detail="shares for sites outside the run")
        if keys.deposits is None or keys.deposits.cohort != sites:
            keys.deposits = Deposits(self.name, keys.terms.run, sites, keys.pairs)
        return keys.deposits.share_out(first_tree, bytes.fromhex(keys.record.secret))

    def hold(self, sender: str, first_tree: int, envelope: bytes) -> None:
        """Keep the shares that ``sender`` left with this site."""
        self._deposits().hold(sender, first_tree, envelope)

    def release(
        self, asked: Round, signatures: Mapping[str, bytes], missing: Sequence[str]
    ) -> dict[str, NDArray[np.uint32]]:
        """Give away shares of the seeds of ``missing``: survivors who vanished before revealing.

        For a site outside the signed set nothing is released, as its pair keys have been.
        """
        keys = self._signed(asked, signatures)
        if not set(missing) <= set(keys.record.survivors) - {self.name}:
            raise SecureSumError("bad_shares", detail="asked for a site that did not survive")
        return {site: self._deposits().share_of(site, asked) for site in missing}

    def _enter(
        self, keys: RunKeys, asked: Round, sites: tuple[str, ...], vector: str, ring: Ring
    ) -> None:
        """Let the round be answered, and write that it was."""
        record = keys.record
        if len(set(sites)) != len(sites) or self.name not in sites:
            raise SecureSumError("wrong_cohort", detail=asked.position)
        if asked.position < record.position:
            raise SecureSumError("reordered", detail=asked.position, limit=record.position)
        if asked.position == record.position:
            cohorts.check_repeat(record, asked, sites, vector)
            if asked.attempt == record.attempt:
                return
            survivors_signed, opened = record.survivors, record.opened
        else:
            cohorts.check_cohort(record, keys.terms, asked, sites)
            survivors_signed, opened = (), record.opened
            if asked.tree >= 0 and not cohorts.tolerant(keys.terms, sites, asked):
                opened = cohorts.joined(opened, sites)
        self._write(
            keys,
            tree=asked.tree,
            level=asked.level,
            attempt=asked.attempt,
            vector=vector,
            bits=ring.bits,
            cohort=sites,
            survivors=survivors_signed,
            opened=opened,
        )

    def _write(self, keys: RunKeys, **changes: Any) -> None:
        """Change the record in the ledger first, then here."""
        changed = replace(keys.record, **changes)
        self._ledger.save(changed)
        keys.record = changed

    def _round_keys(
        self, keys: RunKeys, asked: Round, sites: tuple[str, ...], ring: Ring
    ) -> tuple[list[bytes], list[bytes]]:
        """Keys whose streams are added, and those whose streams are taken away."""
        peers = {
            site: run_keys.round_key(keys.pair(site), asked, sites, ring.bits)
            for site in sites
            if site != self.name
        }
        add = [key for site, key in peers.items() if site > self.name]
        subtract = [key for site, key in peers.items() if site < self.name]
        if cohorts.tolerant(keys.terms, sites, asked):
            add.append(run_keys.self_mask_seed(bytes.fromhex(keys.record.secret), asked))
        return add, subtract

    @property
    def _earlier(self) -> tuple[tuple[str, ...], ...]:
        """Sets of sites whose sums over the present rows were made possible."""
        return self._ledger.cohorts(self._build) if self._build is not None else ()

    def _note(self, cohort: tuple[str, ...]) -> None:
        if self._build is not None:
            self._ledger.note_cohort(self._build, cohort)

    def _with_keys(self) -> RunKeys:
        if self._keys is None or not self._keys.transcript:
            raise SecureSumError("no_keys")
        return self._keys

    def _agreed(self, asked: Round) -> RunKeys:
        keys = self._with_keys()
        if asked.run != keys.terms.run:
            raise SecureSumError("other_terms", detail=asked.run, limit=keys.terms.run)
        return keys

    def _current(self, asked: Round) -> RunKeys:
        """Return the keys when ``asked`` is the last round masked, under its last attempt."""
        keys = self._agreed(asked)
        record = keys.record
        done = (*record.position, record.attempt)
        if (*asked.position, asked.attempt) != done:
            raise SecureSumError("replayed", detail=(*asked.position, asked.attempt), limit=done)
        return keys

    def _signed(self, asked: Round, signatures: Mapping[str, bytes]) -> RunKeys:
        keys = self._current(asked)
        text = self._survivors_text(keys, asked)
        if not keys.record.survivors:
            raise SecureSumError("unsigned_set", detail=self.name)
        survivors.check_signatures(keys.record.survivors, signatures, text, self._roster)
        return keys

    def _survivors_text(self, keys: RunKeys, asked: Round) -> bytes:
        record = keys.record
        return survivors.survivors_text(asked, record.cohort, record.survivors, keys.transcript)

    def _deposits(self) -> Deposits:
        deposits = self._with_keys().deposits
        if deposits is None:
            raise SecureSumError("bad_shares", detail="no shares were left yet")
        return deposits
