from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.rounds.coordinator import Coordinator, SiteMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SITES = ["a", "b", "c"]


class Scripted:
    """A transport whose sites answer by a rule; ``lost`` says who is lost at each sending."""

    def __init__(self, answer: Callable[[str], bytes], lost: Sequence[set[str]] = ()) -> None:
        self._answer = answer
        self._lost = list(lost)
        self.sendings: list[list[str]] = []
        self.unasked: list[str] = []

    def sites(self) -> list[str]:
        return SITES

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        assert body
        assert timeout > 0
        self.sendings.append(list(to))
        lost = self._lost.pop(0) if self._lost else set()
        for site in [*to, *self.unasked]:
            if site not in lost:
                yield site, self._answer(site)


def slot(level: int = 1) -> m.Slot:
    return m.Slot(run="run", tree=0, level=level)


def vector(site: str, **changes: Any) -> bytes:
    values = np.array([SITES.index(site), 10, 2**62], dtype=np.int64)
    fields: dict[str, Any] = {"slot": slot(), "words": values.view("<u4")} | changes
    return m.encode(m.LevelHistogram(**fields))


def ask(transport: Scripted, size: int = 3, **options: Any) -> Any:
    coordinator = Coordinator(transport, "run", **options)
    request = m.FinishTraining(
        slot=slot(),
        split_nodes=np.empty((0, 4), np.int32),
        split_rules=np.empty((0, 3), np.int32),
        left_codes=np.empty((0, 32), np.uint8),
        leaf_nodes=np.empty((0, 2), np.int32),
        leaf_values=np.empty(0),
    )
    return coordinator.sum(request, SITES, m.LevelHistogram, size), coordinator


def test_sums_are_those_of_the_ring() -> None:
    total, coordinator = ask(Scripted(vector))
    assert total.tolist() == [3, 30, 3 * 2**62 - 2**64]
    assert coordinator.books.rounds == 1
    assert coordinator.books.bytes_up == {site: len(vector(site)) for site in SITES}
    assert coordinator.books.largest.type == "LevelHistogram"


def test_a_lost_site_is_sent_the_same_bytes_until_it_answers() -> None:
    transport = Scripted(vector, lost=[{"b", "c"}, {"c"}])
    total, _ = ask(transport)
    assert total.tolist()[:2] == [3, 30]
    assert transport.sendings == [SITES, ["b", "c"], ["c"]]


def test_an_answer_counts_once_and_only_of_a_site_that_was_asked() -> None:
    transport = Scripted(lambda site: vector(site if site in SITES else "c"))
    transport.unasked = ["b", "z"]
    total, coordinator = ask(transport)
    assert total.tolist()[:2] == [3, 30]
    assert coordinator.books.bytes_up.keys() == set(SITES)


def test_no_sum_is_made_without_a_site() -> None:
    transport = Scripted(vector, lost=[{"b"}] * 9)
    with pytest.raises(FederationError, match="no answer from b; value: 3 sendings"):
        ask(transport)
    assert len(transport.sendings) == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"nonsense", "site b sent what is not a reply"),
        (m.encode(m.Refused(slot=slot(), reason="wrong_state")), r"site b refused \(wrong_state\)"),
        (vector("b", slot=slot(2)), "site b answered another question"),
        (vector("b", words=np.zeros(2, np.uint32)), "site b answered with a vector of another"),
        (m.encode(m.ValueCounts(slot=slot(), words=np.zeros(6, np.uint32))), "another question"),
    ],
)
def test_what_is_not_the_answer_stops_the_round_and_names_the_site(body: bytes, why: str) -> None:
    transport = Scripted(lambda site: body if site == "b" else vector(site))
    with pytest.raises(FederationError, match=why):
        ask(transport)


def test_a_site_that_was_started_anew_counts_as_missing() -> None:
    refused = m.encode(m.Refused(slot=slot(), reason="no_run"))
    transport = Scripted(lambda site: refused if site == "b" else vector(site))
    with pytest.raises(SiteMissing, match=r"no answer from b \(started anew\)") as caught:
        ask(transport)
    assert caught.value.sites == ("b",)


def test_who_was_silent_is_sent_later_rounds_once() -> None:
    transport = Scripted(vector, lost=[{"b"}] * 4)
    coordinator = Coordinator(transport, "run")
    for _ in range(2):
        _, silent = coordinator.add(m.PresentKey(slot=slot()), SITES, m.LevelHistogram, 3)
        assert silent == ("b",)
    assert transport.sendings == [SITES, ["b"], ["b"], SITES]


class Posted(Scripted):
    """A transport that sends at once, as a network does, and is read later."""

    def __init__(self, lost: Sequence[set[str]] = ()) -> None:
        super().__init__(vector, lost)
        self.bodies: list[bytes] = []
        self.read: list[int] = []

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        self.bodies.append(body)
        return self._read(list(super().call(body, to, timeout)))

    def _read(self, replies: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        self.read.append(len(self.sendings))
        yield from replies


def test_sites_with_requests_of_their_own_are_asked_at_once() -> None:
    transport = Posted(lost=[set(), {"b"}])
    coordinator = Coordinator(transport, "run")
    own = [(site, m.PresentKey(slot=slot(level))) for level, site in enumerate(SITES)]
    transport._answer = lambda site: vector(site, slot=slot(SITES.index(site)))
    found = coordinator.gather_each(own, m.LevelHistogram)
    assert found.keys() == set(SITES)
    # All three before any is waited for; then the one that was lost, its own request again.
    assert transport.sendings == [["a"], ["b"], ["c"], ["b"]]
    assert transport.read == [3, 3, 3, 4]
    assert transport.bodies == [*(m.encode(one) for _, one in own), m.encode(own[1][1])]
    assert coordinator.books.rounds == 1
    assert coordinator.books.bytes_down["b"] == 2 * len(transport.bodies[1])


def test_a_site_that_keeps_silent_leaves_the_others_their_replies() -> None:
    transport = Posted(lost=[set(), {"b"}, set(), {"b"}, {"b"}])
    coordinator = Coordinator(transport, "run")
    own = ((site, m.PresentKey(slot=slot())) for site in SITES)
    assert coordinator.gather_each(own, m.LevelHistogram).keys() == {"a", "c"}


@pytest.mark.parametrize("reason", [one for one in get_args(m.Reason) if one != "no_run"])
def test_every_reason_has_words_and_a_remedy(reason: m.Reason) -> None:
    body = m.encode(m.Refused(slot=slot(), reason=reason, column="spend"))
    with pytest.raises(FederationError) as caught:
        ask(Scripted(lambda _: body))
    assert "spend" in caught.value.what
    assert caught.value.fix
