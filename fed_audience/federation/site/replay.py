"""Coming back to where a run was: the requests that a site answered, gone through once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.federation import messages as m
from fed_audience.federation.lasting.site_checkpoint import digest_of
from fed_audience.federation.messages.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.federation.private.site_run import PrivateSiteRun
    from fed_audience.federation.site.run import SiteRun, SiteVector
    from fed_audience.federation.workers.spread_run import SpreadRun

    Answered = tuple[m.Request, bytes, SiteVector | m.Reply]


def replayed(
    state: SiteRun | PrivateSiteRun | SpreadRun, answers: Sequence[tuple[bytes, bytes]]
) -> Answered | None:
    """Go through ``answers``, requests with digests; return the last with its answer.

    Only the last answer is computed again, and the root before it, whose gradients it needs.
    Raises Refusal (rows_changed) when one is not what it was.
    """
    rounds: dict[tuple[int, int], tuple[m.Request, bytes, bytes]] = {}
    for body, digest in answers:
        request = m.decode_request(body)
        rounds[request.slot.position] = request, body, digest
    if not rounds:
        return None
    *before, last = rounds.values()
    root = (last[0].slot.tree, 0)
    for request, _, digest in before:
        answer = state.replay(request, whole=request.slot.position == root)
        if answer is not None:
            _check(state, request, answer, digest)
    request, body, digest = last
    answer = state.replay(request, whole=True)
    if answer is None:
        return None
    _check(state, request, answer, digest)
    return request, body, answer


def _check(
    state: SiteRun | PrivateSiteRun | SpreadRun,
    request: m.Request,
    answer: SiteVector | m.Reply,
    digest: bytes,
) -> None:
    if digest_of(answer, state.rows_digest) != digest:
        raise Refusal("rows_changed", detail=f"round {request.slot.position}")
