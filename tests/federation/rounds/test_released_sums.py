"""What can be worked out from every sum that real runs with dropouts released, by exact ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fed_audience.federation import Envelope, train
from fed_audience.federation import messages as m
from fed_audience.federation.manifest import Manifest
from tests.federation.example import manifest, programs, split, table
from tests.federation.faults import Fate, Faulty, losing
from tests.privacy.exact_rank import Released, exposed

ROWS = table(780, seed=3)
NAMES = tuple(f"s{i:02d}" for i in range(13))
TABLES = split(ROWS, np.arange(ROWS.num_rows) % len(NAMES), list(NAMES))
THREE = ("s02", "s05", "s09")


class Transcript:
    """All messages of a run, and what an observer of all of them can open."""

    def __init__(self, agreed: Manifest) -> None:
        self._manifest = agreed
        self._requests: list[m.Request] = []
        self._bodies: set[bytes] = set()
        self._answered: dict[tuple[type, tuple[int, int]], set[str]] = {}
        self._asked: dict[str, m.Request] = {}

    def __call__(self, envelope: Envelope) -> None:
        message = m.decode(envelope.body)
        if isinstance(message, m.Request):
            self._asked[envelope.site] = message
            if envelope.body not in self._bodies:
                self._bodies.add(envelope.body)
                self._requests.append(message)
        elif not isinstance(message, m.Refused):
            request = self._asked[envelope.site]
            place = type(request), request.slot.position
            self._answered.setdefault(place, set()).add(envelope.site)

    def released(self) -> list[Released]:
        """Sites and statistics of every sum that can be read."""
        found = []
        for request in self._requests:
            contents = list(self._contents(request))
            if contents and (cohort := self._cohort_of(request)):
                found += [(cohort, content) for content in contents]
        return found

    def _cohort_of(self, request: m.Request) -> tuple[str, ...]:
        """Sites whose sum of this round can be opened: all were in, or all survivors signed."""
        place = type(request), request.slot.position
        cohort = self._manifest.cohort(request.absent, of_all_sites=request.of_all_sites)
        for signing in self._requests:
            if isinstance(signing, m.SignSurvivors) and signing.slot == request.slot:
                survivors = {self._manifest.sites[i] for i in signing.survivors}
                signed = self._answered.get((m.SignSurvivors, request.slot.position), set())
                assert survivors <= self._answered[place]
                return tuple(sorted(survivors)) if survivors <= signed else ()
        return cohort if set(cohort) <= self._answered.get(place, set()) else ()

    def _contents(self, request: m.Request) -> Iterator[dict[str, int]]:
        tree = request.slot.tree
        match request:
            case m.CountValues() | m.FixBins():
                yield self._leaves("count", 0, 0)
            case m.StartTree():
                yield from self._of_node(tree, 0)
                yield {f"loss {tree}": 1}
            case m.GrowLevel():
                for _, node in request.build.tolist():
                    yield from self._of_node(tree, node)
            case m.FinishTraining():
                yield {f"loss {tree}": 1}
            case m.ScoreValidation():
                yield {"scores": 1}

    def _of_node(self, tree: int, node: int) -> Iterator[dict[str, int]]:
        """Gradients and hessians of a node; those of the first tree are counts."""
        yield self._leaves(f"gradient {tree}", tree, node)
        yield self._leaves("count" if tree == 0 else f"hessian {tree}", tree, node)

    def _leaves(self, name: str, tree: int, node: int) -> dict[str, int]:
        """A node is the sum of the leaves below it: what is left of parents and children."""
        children = self._children(tree)
        below, leaves = [node], []
        while below:
            one = below.pop()
            below += children.get(one, ())
            leaves += [] if one in children else [one]
        return {f"{name} of {leaf}": 1 for leaf in leaves}

    def _children(self, tree: int) -> dict[int, tuple[int, int]]:
        of_tree = [
            request
            for request in self._requests
            if (isinstance(request, m.GrowLevel) and request.slot.tree == tree)
            or (isinstance(request, m.TreeClosing) and request.slot.tree == tree + 1)
        ]
        return {
            node: (left, right)
            for request in of_tree
            for _, node, left, right in request.split_nodes.tolist()
        }


def both(*fates: Callable[[str, m.Request], Fate]) -> Callable[[str, m.Request], Fate]:
    def decide(site: str, request: m.Request) -> Fate:
        found = [fate(site, request) for fate in fates]
        return next((one for one in found if one != "arrives"), "arrives")

    return decide


LEAVING_AGAIN = losing(("s00", "s03", "s12"), (3, 0))
RUNS: dict[str, Callable[[str, m.Request], Fate]] = {
    "nobody": lambda _site, _request: "arrives",
    "three at a root": losing(THREE, (2, 0)),
    "three after their vector": losing(
        THREE, (2, 0), fate="lost on the way back", kind=m.StartTree
    ),
    "twice three": both(losing(THREE, (1, 0)), LEAVING_AGAIN),
    "three below a root": losing(THREE, (2, 1)),
    "one below a root": losing(["s04"], (1, 1), fate="lost on the way back", back=(2, 0)),
    "after signing": losing(["s07"], (2, 0), kind=m.RevealSeed, back=(2, 1)),
    "not signing": losing(["s07"], (2, 0), kind=m.SignSurvivors),
    "all at once": both(
        losing(THREE, (2, 0), fate="lost on the way back"),
        losing(["s04"], (1, 1), back=(2, 0)),
        losing(["s07"], (3, 0), kind=m.RevealSeed, back=(3, 2)),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_no_combination_of_a_runs_sums_says_something_of_one_site(name: str) -> None:
    agreed = manifest(NAMES, n_estimators=4, max_depth=3, num_leaves=6, early_stopping_round=4)
    transcript = Transcript(agreed)
    result = train(Faulty(programs(TABLES), RUNS[name], transcript), agreed, timeout=1, retries=0)
    released = transcript.released()
    assert len(result.model.trees) >= 2
    assert len(released) > 15
    if "three" in name:
        assert {len(cohort) for cohort, _ in released} > {13}
    assert exposed(released, NAMES) == []


def test_the_ranks_would_find_a_sum_without_one_site() -> None:
    """The same transcript with one level summed over one site less is found out."""
    agreed = manifest(NAMES, n_estimators=2, max_depth=3, num_leaves=6)
    transcript = Transcript(agreed)
    train(Faulty(programs(TABLES), RUNS["nobody"], transcript), agreed)
    released: list[Any] = transcript.released()
    repeated = next(one for one in released if any("hessian 1" in name for name in one[1]))
    assert exposed([*released, (NAMES[1:], repeated[1])], NAMES) == ["s00"]
