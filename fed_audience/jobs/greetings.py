"""How the coordinator asks every connected site how it stands, and gathers what they signed."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FedAudienceError
from fed_audience.federation.messages import members as mm
from fed_audience.privacy.identity import check_signature

if TYPE_CHECKING:
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.federation.contract.signing import SignedContract
    from fed_audience.jobs.contracts import Contracts
    from fed_audience.jobs.members import Members

_LOG: Final = logging.getLogger(__name__)
SECONDS: Final = 30.0
"""How long a site may take to say how it stands."""


class Greetings:
    """Greets the sites of ``link``; signatures that come back are checked and kept."""

    def __init__(self, link: MemberLink, contracts: Contracts, members: Members) -> None:
        self._link = link
        self._contracts = contracts
        self._members = members

    def send(self, signed: SignedContract) -> tuple[SignedContract, dict[str, mm.State], bool]:
        """Show the contract to every connected site.

        Returns it with the signatures that came, how each site stands, and whether the sites must
        be shown it again before a run: somebody has signed just now. A site that fails or answers
        nonsense is left out, and named in the log.
        """
        roster = self._members.roster()
        approvals = {} if roster is None else roster.approvals
        greeting = mm.Greeting(
            contract=signed.to_json(),
            approvals={site: approval.hex() for site, approval in approvals.items()},
        ).encode()
        sites = self._link.sites()
        states: dict[str, mm.State] = {}
        with ThreadPoolExecutor(max(1, len(sites))) as pool:
            asked = {
                site: pool.submit(self._link.ask, site, mm.Greeting.kind, greeting, SECONDS)
                for site in sites
            }
            for site, answer in asked.items():
                try:
                    states[site] = mm.decode(mm.State, answer.result())
                except FedAudienceError as error:
                    _LOG.warning("site %s is left out for now: %s", site, error)
        fresh = signed
        for site, state in states.items():
            try:
                fresh = self._keep_signature(fresh, site, state)
                self._keep_approval(site, state)
            except FedAudienceError as error:
                _LOG.warning("what site %s sent as signed is refused: %s", site, error)
        roster = self._members.roster()
        news = fresh is not signed or (roster is not None and roster.approvals != approvals)
        return fresh, states, news

    def _keep_signature(self, signed: SignedContract, site: str, state: mm.State) -> SignedContract:
        """Keep what ``site`` signed, where that is the contract of now."""
        current = state.contract_sha256 == signed.contract.sha256
        if not current or state.signature is None or signed.is_signed_by(site):
            return signed
        signed = signed.with_signature(site, bytes.fromhex(state.signature))
        self._contracts.keep(signed)
        _LOG.info("site %s has signed contract %s", site, signed.contract.sha256[:12])
        return signed

    def _keep_approval(self, site: str, state: mm.State) -> None:
        """Keep the signature of ``site`` under the roster of now."""
        roster = self._members.roster()
        if state.approval is None or roster is None or site in roster.approvals:
            return
        approval = bytes.fromhex(state.approval)
        check_signature(site, roster.key_of(site), approval, roster.text)
        self._members.keep_approval(site, approval)
