"""Training under masks: the same model, and nothing of one site to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import ConfigError, DataError, FederationError
from fed_audience.federation import (
    ArrowSource,
    Envelope,
    InProcessTransport,
    SiteProgram,
    evaluate,
    train,
)
from fed_audience.federation import messages as m
from fed_audience.federation.manifest import overrides_for
from fed_audience.federation.rounds.protection import Protection
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.site import SecureSite
from tests.federation.example import KEY, manifest, programs, run, split, table, with_targets

ROWS = with_targets(table(900, seed=4))
NAMES = ["a", "b", "c"]
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
FOUR = split(ROWS, np.arange(ROWS.num_rows) % 4, ["a", "b", "c", "d"])
SHORT: dict[str, Any] = {"n_estimators": 3, "early_stopping_round": 3}


class Changing(InProcessTransport):
    """A network that changes messages on their way to a site."""

    def __init__(
        self, sites: dict[str, SiteProgram], change: Callable[[str, m.Request], m.Request]
    ) -> None:
        super().__init__(sites)
        self._change = change

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        for site in to:
            request = self._change(site, m.decode_request(body))
            yield from super().call(m.encode(request), [site], timeout)


def members(
    tables: dict[str, pa.Table] = TABLES, accepts: tuple[Any, ...] = ()
) -> dict[str, SiteProgram]:
    """Sites of different owners: identities of their own, one roster, no rule set aside."""
    identities = [SiteIdentity.generate(name) for name in tables]
    roster = enrol(identities)
    return {
        identity.name: SiteProgram(
            identity.name,
            ArrowSource(tables[identity.name]),
            KEY,
            secure=SecureSite(identity, roster, SiteLedger(), accepts=accepts),
        )
        for identity in identities
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight": "weight", "max_weight": 4.0},
        {"row_cap": 2**33},
        {
            "label": "next_channel",
            "task": "multiclass",
            "classes": ("0", "1", "2"),
            "objective": "multiclass",
            "num_class": 3,
        },
        {"label": "margin", "task": "demand", "objective": "regression"},
    ],
    ids=["binary", "weighted", "wide", "multiclass", "regression"],
)
def test_the_model_is_the_same_with_masks_and_without(changes: dict[str, Any]) -> None:
    masked = run(TABLES, **SHORT | changes)
    plain = run(TABLES, **SHORT | changes, secure=False)
    assert masked.model_text == plain.model_text
    assert masked.metrics == plain.metrics
    assert masked.validation_losses == plain.validation_losses
    assert masked.rounds == plain.rounds + 2


def test_a_run_says_how_it_was_protected() -> None:
    three = run(TABLES, **SHORT).protection
    assert three == Protection(secure=True, sites=3, training_sites=3, overrides=())
    assert three.sentences() == ("sums over 3 sites under masks; trees over 3",)
    open_ = run(TABLES, **SHORT, secure=False).protection
    assert open_.sentences() == ("plain sums: the coordinator sees each site's own numbers",)
    alone = run({"a": ROWS}, **SHORT).protection
    assert (alone.secure, alone.sites) == (False, 1)
    assert "hides nothing from itself" in alone.sentences()[0]
    seeds = run(FOUR, **SHORT, task="lookalike", label_sites=("a",)).protection
    assert seeds.overrides == ("one_site",)
    assert "own sums" in " ".join(seeds.sentences())


def test_the_largest_message_is_called_what_it_is_to_who_reads_it() -> None:
    masked, plain = run(TABLES, **SHORT), run(TABLES, **SHORT, secure=False)
    assert masked.largest_message.type == plain.largest_message.type
    said = f"Noise; in sum over the sites: {plain.largest_message.reveals}"
    assert masked.largest_message.reveals == said


@pytest.mark.parametrize("careless", NAMES)
def test_with_one_sites_mask_removed_the_sum_is_garbage(
    careless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = programs(TABLES)
    transport = InProcessTransport(sites)
    secure = sites[careless]._secure
    assert secure is not None

    def bare(asked: Any, cohort: Any, values: Any, ring: Any, out: Any) -> None:
        out[:] = ring.elements(values)

    monkeypatch.setattr(secure, "mask", bare)
    with pytest.raises(DataError, match="counts hold different numbers of rows"):
        train(transport, manifest(NAMES, **SHORT))


def vectors(tables: dict[str, pa.Table], **changes: Any) -> dict[tuple[Any, ...], m.VectorReply]:
    """Every vector that left a site, by site and round."""
    seen: list[Envelope] = []
    run(tables, on_message=seen.append, **SHORT | changes)
    found = {}
    for envelope in seen:
        message = m.decode(envelope.body)
        if isinstance(message, m.VectorReply):
            found[envelope.site, type(message), message.slot.position] = message
    return found


def test_no_sites_own_vector_is_in_any_message() -> None:
    """What a site sent under masks shares no run of two elements with what it summed."""
    masked, plain = vectors(TABLES), vectors(TABLES, secure=False)
    assert masked.keys() == plain.keys()
    assert len({kind for _, kind, _ in masked}) >= 5
    for place, reply in plain.items():
        hidden = masked[place].words
        assert hidden.shape == reply.words.shape
        assert not np.array_equal(hidden, reply.words)
        if len(hidden) > 1_000:
            assert (hidden == reply.words).mean() < 0.001
            assert (hidden == 0).mean() < 0.001


def test_masked_vectors_of_two_runs_on_the_same_rows_differ() -> None:
    one, two = vectors(TABLES), vectors(TABLES)
    assert one.keys() == two.keys()
    assert not any(np.array_equal(one[place].words, two[place].words) for place in one)


def test_two_sites_are_refused_and_told_what_to_agree_to() -> None:
    with pytest.raises(ConfigError, match="two_sites"):
        manifest(["a", "b"], overrides=())
    assert overrides_for(["a", "b"], ["a", "b"]) == ("two_sites",)
    with pytest.raises(ConfigError, match="one_site, small_change"):
        manifest(NAMES, overrides=(), label_sites=("a",))


def test_sites_that_have_not_accepted_an_override_refuse_the_run() -> None:
    two = split(ROWS, np.arange(ROWS.num_rows) % 2, ["a", "b"])
    with pytest.raises(FederationError, match=r"refused \(override\)"):
        train(InProcessTransport(members(two)), manifest(["a", "b"], **SHORT))
    accepting = members(two, accepts=("two_sites",))
    result = train(InProcessTransport(accepting), manifest(["a", "b"], **SHORT))
    assert result.sha256 == run({"a": ROWS}, **SHORT).sha256


@pytest.mark.parametrize("changes", [{"secure": False}, {}], ids=["no masks", "alone"])
def test_a_member_does_not_send_plain_sums(changes: dict[str, Any]) -> None:
    names = NAMES if changes else ["a"]
    with pytest.raises(FederationError, match=r"refused \(plain_sums\)"):
        train(InProcessTransport(members()), manifest(names, **SHORT | changes))


def test_a_site_without_identity_takes_no_part_in_a_masked_run() -> None:
    program = SiteProgram("a", ArrowSource(ROWS), KEY)
    slot = m.Slot(run="run", tree=m.PREPARATION, level=0)
    request = m.OpenRun(slot=slot, manifest=manifest(NAMES).to_json())
    reply = m.decode_reply(program.handle(m.encode(request)))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "no_identity"


def test_members_train_and_evaluate() -> None:
    transport, agreed = InProcessTransport(members()), manifest(NAMES, **SHORT)
    result = train(transport, agreed)
    assert result.sha256 == run(TABLES, **SHORT, secure=False).sha256
    assert evaluate(transport, agreed, result.model, number=1) == result.metrics


def test_sites_of_different_rosters_are_told_apart() -> None:
    mixed = {**members(), "c": members()["c"]}
    with pytest.raises(SecureSumError) as caught:
        train(InProcessTransport(mixed), manifest(NAMES, **SHORT))
    assert caught.value.reason == "roster_changed"


def test_a_key_changed_on_its_way_is_refused() -> None:
    def change(site: str, request: m.Request) -> m.Request:
        if isinstance(request, m.AgreeKeys) and site == "b":
            keys = ("ab" * 32, *request.public_keys[1:])
            return request.model_copy(update={"public_keys": keys})
        return request

    with pytest.raises(FederationError, match=r"site b refused \(bad_signature\)"):
        train(Changing(members(), change), manifest(NAMES, **SHORT))


def test_another_manifest_for_one_site_is_noticed_by_the_others() -> None:
    """Terms hold the manifest's hash: the site's signature is for other terms."""
    other = manifest(NAMES, **SHORT | {"n_estimators": 4})

    def change(site: str, request: m.Request) -> m.Request:
        if isinstance(request, m.OpenRun) and site == "b":
            return request.model_copy(update={"manifest": other.to_json()})
        return request

    with pytest.raises(FederationError, match="site b read another manifest"):
        train(Changing(members(), change), manifest(NAMES, **SHORT))


def test_a_round_shown_as_one_of_fewer_sites_is_refused() -> None:
    def change(site: str, request: m.Request) -> m.Request:
        if isinstance(request, m.GrowLevel):
            return request.model_copy(update={"absent": (3,)})
        return request

    with pytest.raises(FederationError, match=r"site a refused \(wrong_cohort\)"):
        train(Changing(members(FOUR), change), manifest([*FOUR], **SHORT))


@pytest.mark.parametrize("absent", [(1, 2, 3), (1,), (1, 2)])
def test_a_site_never_answers_alone_or_among_too_few(absent: tuple[int, ...]) -> None:
    """Told that all others are absent, a site does not send its own numbers."""

    def change(site: str, request: m.Request) -> m.Request:
        if isinstance(request, m.StartTree) and site == "a":
            return request.model_copy(update={"absent": absent})
        return request

    with pytest.raises(FederationError, match=r"site a refused \(wrong_cohort\)"):
        train(Changing(members(FOUR), change), manifest([*FOUR], **SHORT))


def test_a_round_that_names_no_site_of_the_run_is_refused() -> None:
    def change(site: str, request: m.Request) -> m.Request:
        return request.model_copy(update={"absent": (9,)})

    with pytest.raises(FederationError, match=r"refused \(bad_message\)"):
        train(Changing(members(), change), manifest(NAMES, **SHORT))


def test_keys_are_presented_before_vectors() -> None:
    program = members()["a"]
    agreed = manifest(NAMES, **SHORT)
    slot = m.Slot(run="run", tree=m.PREPARATION, level=0)
    program.handle(m.encode(m.OpenRun(slot=slot, manifest=agreed.to_json())))
    counting = m.CountValues(
        slot=slot.model_copy(update={"level": 1}),
        numeric=(0,),
        grids=("[]",),
        bucketed=(),
        refined=(),
        survivor_counts=(),
        survivors=np.empty(0, np.uint32),
    )
    reply = m.decode_reply(program.handle(m.encode(counting)))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "no_keys"


def test_asked_again_a_site_presents_the_same_key() -> None:
    program = members()["a"]
    slot = m.Slot(run="run", tree=m.PREPARATION, level=0)
    program.handle(m.encode(m.OpenRun(slot=slot, manifest=manifest(NAMES).to_json())))
    body = m.encode(m.PresentKey(slot=slot))
    first = program.handle(body)
    assert program.handle(body) == first
    later = m.encode(m.PresentKey(slot=slot.model_copy(update={"attempt": 1})))
    assert program.handle(later) != first


def test_keys_of_another_number_of_sites_are_refused() -> None:
    def change(site: str, request: m.Request) -> m.Request:
        if isinstance(request, m.AgreeKeys):
            return request.model_copy(update={"counters": request.counters[1:]})
        return request

    with pytest.raises(FederationError, match=r"refused \(bad_message\)"):
        train(Changing(members(), change), manifest(NAMES, **SHORT))


def test_bins_are_hidden_among_all_sites_and_seeds_among_none() -> None:
    """One site with labels is summed with nobody: its numbers are its own, and the run says so."""
    chosen: dict[str, Any] = {"task": "lookalike", "label_sites": ("a",)}
    masked, plain = vectors(FOUR, **chosen), vectors(FOUR, **chosen, secure=False)
    for place, reply in plain.items():
        same = np.array_equal(masked[place].words, reply.words)
        assert same == (place[1] is not m.ValueCounts)


def test_replaced_sites_keep_an_override_that_is_not_needed() -> None:
    """A comparison with one site alone is made from the manifest of the federation."""
    agreed = manifest(["a", "b"], **SHORT)
    alone = replace(agreed, sites=("a",))
    result = train(InProcessTransport(programs({"a": ROWS})), alone)
    assert result.protection.secure is False


class Misled(InProcessTransport):
    """Asks site a for a sum without b, twice, before it asks as it should."""

    refused: tuple[str, ...] = ()

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        request = m.decode_request(body)
        if request.slot.position == (1, 0) and isinstance(request, m.StartTree):
            wrong = m.encode(request.model_copy(update={"absent": (1,)}))
            for _ in range(2):
                for _, reply in super().call(wrong, ["a"], timeout):
                    found = m.decode_reply(reply)
                    assert isinstance(found, m.Refused)
                    self.refused = (*self.refused, found.reason)
        yield from super().call(body, to, timeout)


def test_a_round_that_the_masks_refuse_may_be_asked_rightly_afterwards() -> None:
    """The vector was computed, and did not leave: no row is counted twice and none is lost."""
    agreed = manifest(list(FOUR), **SHORT)
    network = Misled(members(FOUR))
    result = train(network, agreed)
    assert network.refused == ("wrong_cohort", "wrong_cohort")
    assert result.sha256 == train(InProcessTransport(members(FOUR)), agreed).sha256
