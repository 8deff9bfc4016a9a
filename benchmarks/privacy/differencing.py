"""Differencing: what the sums with a site and the sums without it tell about that site.

Where a tree may go on without a site, its root over all sites minus both children over the others
is the leaver's whole root histogram. The attack is run twice: on sites that answer whatever cohort
is asked for, and on sites that keep the rules of the secure sum, against a coordinator that tries
each way around them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.privacy.histograms import pairs_of
from benchmarks.privacy.secure_sum import consortium
from benchmarks.privacy.secure_training import run_of, tables, trained
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.federation import messages as m
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.masks import RING_64
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.federation.transport import Envelope

    Integers = NDArray[np.int64]

PARAMETERS: Final = TrainingParameters(n_estimators=1, max_depth=2, num_leaves=4, max_bin=64)
SITES: Final = 8
LEAVER: Final = "s003"


class Recorded:
    """Requests of a training in their order, and the root that each site answered with."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.roots: dict[str, m.VectorReply] = {}

    def note(self, envelope: Envelope) -> None:
        """Keep a request once, and every root histogram."""
        if envelope.direction == "to_site":
            if not self.bodies or self.bodies[-1] != envelope.body:
                self.bodies.append(envelope.body)
            return
        reply = m.decode_reply(envelope.body)
        if isinstance(reply, m.RootHistogram):
            self.roots[envelope.site] = reply


def without_rules(parts: dict[str, pa.Table]) -> tuple[Integers, dict[str, Any]]:
    """Return the leaver's true root histogram int64[slots, 2], and what the attack got of it."""
    heard = Recorded()
    trained(parts, PARAMETERS, secure=False, on_message=heard.note)
    requests = [m.decode_request(body) for body in heard.bodies]
    root = next(one for one in requests if isinstance(one, m.StartTree))
    how = {"packing": root.packing, "wide": root.wide}
    roots = {site: _pairs(root, reply) for site, reply in heard.roots.items()}
    level = next(one for one in requests if isinstance(one, m.GrowLevel))
    _, _, left, right = level.split_nodes[0].tolist()
    both = level.model_copy(
        update={"build": np.array([[0, left], [0, right]], dtype=np.int32), **how}
    )
    until_root = heard.bodies[: requests.index(level)]
    children = 0
    for site, rows in parts.items():
        if site == LEAVER:
            continue
        program = SiteProgram(site, ArrowSource(rows), b"key")
        for body in until_root:
            program.handle(body)
        reply = m.decode_reply(program.handle(m.encode(both)))
        children = children + _pairs(both, reply)
    difference = np.asarray(sum(roots.values()) - children)
    row = _row("free", "both children over the others", "summed", difference, roots[LEAVER])
    return roots[LEAVER], row


class TriedError(Exception):
    """Everything was tried; the training is of no further use."""


class LyingCoordinator:
    """A transport that, after the first tree's root, asks for sums without the leaver.

    Then it ends the training: raises TriedError.
    """

    def __init__(self, programs: dict[str, SiteProgram], leaver: Integers) -> None:
        self._honest = InProcessTransport(programs)
        self._programs = programs
        self._leaver = leaver
        self._root: m.StartTree | None = None
        self._answers: dict[str, m.VectorReply] = {}
        self.rows: list[dict[str, Any]] = []

    def sites(self) -> list[str]:
        """Names of the sites."""
        return self._honest.sites()

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Pass a request on; around the first tree's root, try to learn more."""
        request = m.decode_request(body)
        if isinstance(request, m.GrowLevel) and self._root is not None:
            self._try(request, self._root, to)
            raise TriedError
        replies = dict(self._honest.call(body, to, timeout))
        if isinstance(request, m.StartTree) and self._root is None:
            self._root = request
            read = {site: m.decode_reply(reply) for site, reply in replies.items()}
            self._answers = {
                site: one for site, one in read.items() if isinstance(one, m.VectorReply)
            }
        yield from replies.items()

    def _try(self, level: m.GrowLevel, root: m.StartTree, to: Sequence[str]) -> None:
        alone = _pairs(root, self._answers[LEAVER])
        self.rows.append(
            _row("ours", "leave the leaver's answer out of the sum", "noise", alone, self._leaver)
        )
        absent = (self.sites().index(LEAVER),)
        again = root.slot.model_copy(update={"attempt": 1})
        tried: list[tuple[str, m.Request]] = [
            ("both children over the others", level.model_copy(update={"absent": absent})),
            (
                "the root again over the others",
                root.model_copy(update={"absent": absent, "slot": again}),
            ),
        ]
        for what, request in tried:
            self.rows.append(self._asked(what, request, [site for site in to if site != LEAVER]))

    def _asked(self, what: str, request: m.Request, to: Sequence[str]) -> dict[str, Any]:
        body = m.encode(request)
        replies = [m.decode_reply(self._programs[site].handle(body)) for site in to]
        refused = {reply.reason for reply in replies if isinstance(reply, m.Refused)}
        answered = [reply for reply in replies if isinstance(reply, m.VectorReply)]
        if answered:
            raise SystemExit(f"{len(answered)} sites answered a round over a smaller cohort")
        return _row("ours", what, f"refused: {', '.join(sorted(refused))}", None, self._leaver)


def under_the_rules(parts: dict[str, pa.Table], leaver: Integers) -> list[dict[str, Any]]:
    """Return what each attempt of a lying coordinator got of the leaver's root histogram."""
    programs = {name: SiteProgram(name, ArrowSource(rows), b"key") for name, rows in parts.items()}
    liar = LyingCoordinator(programs, leaver)
    with suppress(TriedError):
        train(liar, run_of(parts, PARAMETERS))
    return [*liar.rows, later_root(leaver)]


def later_root(leaver: Integers) -> dict[str, Any]:
    """Ask 12 sites, which could do without three, to open a later root without one."""
    names, sites, _ = consortium(12)
    asked = Round("run", 1, 0)
    for name in names:
        sites[name].mask(asked, names, np.zeros(4, dtype=np.int64), RING_64)
    survivors = tuple(name for name in names if name != LEAVER)
    reasons = set()
    for name in survivors:
        try:
            sites[name].sign_survivors(asked, survivors)
        except SecureSumError as error:
            reasons.add(error.reason)
        else:
            raise SystemExit(f"{name} signed a sum over all sites but one")
    answer = f"refused: {', '.join(sorted(reasons))}"
    return _row("ours", "a later root over 11 of 12 sites", answer, None, leaver)


def measure(rows: int = 4_000, features: int = 30) -> list[dict[str, Any]]:
    """Run the attack without the rules and against them."""
    parts = tables(rows, features, SITES)
    leaver, free = without_rules(parts)
    return [free, *under_the_rules(parts, leaver)]


def _pairs(request: m.StartTree | m.GrowLevel, reply: m.Reply) -> Integers:
    """Read a reply's pairs int64[slots, 2], summed over its nodes."""
    if not isinstance(reply, m.VectorReply):
        raise SystemExit(f"a site answered with {reply}")
    found: Integers = pairs_of(request, reply.integers(request.packing.ring)).sum(axis=0)
    return found


def _row(
    rules: str, attempt: str, answer: str, found: Integers | None, truth: Integers
) -> dict[str, Any]:
    exact = 0 if found is None else int((found == truth).sum())
    return {
        "rules": rules,
        "attempt": attempt,
        "answer": answer,
        "cells": truth.size,
        "cells_exact": exact,
    }
