"""A site in a private run: charged first, drawn once, and deaf to every other recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import (
    ArrowSource,
    Envelope,
    InProcessTransport,
    Manifest,
    SiteProgram,
    evaluate,
    explain,
    train,
)
from fed_audience.federation import messages as m
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.private.recipe import plan_of
from fed_audience.privacy.budget import BudgetBook
from fed_audience.privacy.dp.releases import StoredReleases
from tests.federation.example import KEY, manifest, table
from tests.federation.private.example import private_manifest

ROWS = table(2_000, seed=5)


def site(keeper: PrivacyKeeper | None = None) -> SiteProgram:
    return SiteProgram("a", ArrowSource(ROWS), KEY, keeper=keeper)


def opened(program: SiteProgram, agreed: Manifest) -> SiteProgram:
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=0)
    reply = ask(program, m.OpenRun(slot=slot, manifest=agreed.to_json()))
    assert isinstance(reply, m.RunOpened)
    return program


def ask(program: SiteProgram, request: m.Request) -> m.Reply:
    return m.decode_reply(program.handle(m.encode(request)))


def count(agreed: Manifest, *, level: int = 2) -> m.CountNoisily:
    return m.CountNoisily(slot=m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=level))


def bins(slot: m.Slot, cuts: list[float]) -> m.FixNoisyBins:
    """Bins of the first feature alone."""
    return m.FixNoisyBins(
        slot=slot,
        base_score=0.0,
        sizes=(len(cuts), 0, 0, 0, 0),
        thresholds=np.array(cuts),
        prefixes=np.empty(0, np.uint32),
    )


def recorded(keeper: PrivacyKeeper, agreed: Manifest) -> tuple[str, list[Envelope]]:
    seen: list[Envelope] = []
    result = train(InProcessTransport({"a": site(keeper)}, seen.append), agreed)
    return result.sha256, [envelope for envelope in seen if envelope.direction == "from_site"]


def test_a_round_that_is_asked_again_gets_the_vector_that_it_got() -> None:
    agreed = private_manifest(["a"])
    program = opened(site(), agreed)
    first = ask(program, count(agreed))
    again = ask(program, count(agreed))
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=2, attempt=1)
    anew = ask(program, m.CountNoisily(slot=slot))
    assert isinstance(first, m.NoisyCounts)
    assert isinstance(again, m.NoisyCounts)
    assert isinstance(anew, m.NoisyCounts)
    assert (first.words == again.words).all()
    assert (first.words == anew.words).all()


def test_the_counts_are_released_once_whatever_the_round_is_called() -> None:
    agreed = private_manifest(["a"])
    program = opened(site(), agreed)
    ask(program, count(agreed))
    reply = ask(program, count(agreed, level=3))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "wrong_state"


def test_a_site_that_was_restarted_repeats_every_vector(tmp_path: Path) -> None:
    agreed = private_manifest(["a"])
    first, sent = recorded(PrivacyKeeper(releases=StoredReleases(tmp_path)), agreed)
    second, sent_again = recorded(PrivacyKeeper(releases=StoredReleases(tmp_path)), agreed)
    assert first == second
    assert [envelope.body for envelope in sent] == [envelope.body for envelope in sent_again]
    elsewhere, _ = recorded(PrivacyKeeper(), agreed)
    assert elsewhere != first


def test_a_restarted_site_does_not_answer_another_question_in_an_old_round(tmp_path: Path) -> None:
    """Other bins under the same round would be other sums, and so a second look at the rows."""
    agreed = private_manifest(["a"])
    recorded(PrivacyKeeper(releases=StoredReleases(tmp_path)), agreed)
    program = opened(site(PrivacyKeeper(releases=StoredReleases(tmp_path))), agreed)
    ask(program, count(agreed))
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=3)
    fixed = ask(program, bins(slot, [1.0]))
    assert isinstance(fixed, m.BinsFixed)
    tree = m.Slot(run=agreed.run_id, tree=0, level=0)
    reply = ask(program, m.SumFeature(slot=tree, feature=0, updated=0, values=np.empty(0)))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "changed_request"


def test_a_run_whose_vectors_went_is_refused_and_not_drawn_anew(tmp_path: Path) -> None:
    """Its charge is in the book: fresh noise would be a second look at the rows for nothing."""

    def kept() -> PrivacyKeeper:
        return PrivacyKeeper(releases=StoredReleases(tmp_path, runs_kept=1))

    first = private_manifest(["a"])
    recorded(kept(), first)
    recorded(kept(), replace(first, run_id="another"))
    reply = ask(opened(site(kept()), first), count(first))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "not_kept"


def test_the_whole_run_is_charged_before_its_first_vector(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("customers", 5.0, 1e-6)
    agreed = private_manifest(["a"], epsilon=4.0)
    program = opened(site(PrivacyKeeper(book, "customers")), agreed)
    assert book.balance("customers").charges == ()
    ask(program, count(agreed))
    (charge,) = book.balance("customers").charges
    assert (charge.run_id, charge.delta, charge.mu) == (
        agreed.run_id,
        1e-6,
        plan_of(agreed).mu,
    )


def test_nothing_leaves_when_the_budget_does_not_suffice(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("customers", 1.0, 1e-6)
    seen: list[Envelope] = []
    transport = InProcessTransport({"a": site(PrivacyKeeper(book, "customers"))}, seen.append)
    with pytest.raises(FederationError, match="over_budget"):
        train(transport, private_manifest(["a"], epsilon=4.0))
    sent = {type(m.decode_reply(e.body)) for e in seen if e.direction == "from_site"}
    assert sent == {m.Refused}
    assert book.balance("customers").charges == ()


def test_a_run_that_one_site_cannot_pay_costs_no_site_anything(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("rich", 9.0, 1e-6)
    book.limit("poor", 1.0, 1e-6)
    sites = {
        name: SiteProgram(name, ArrowSource(ROWS), KEY, keeper=PrivacyKeeper(book, data_set))
        for name, data_set in (("a", "rich"), ("b", "rich"), ("c", "poor"))
    }
    agreed = private_manifest(["a", "b", "c"], epsilon=4.0, secure=False)
    with pytest.raises(FederationError, match="over_budget"):
        train(InProcessTransport(sites), agreed)
    assert [balance.charges for balance in book.balances()] == [(), ()]


def test_a_budget_that_was_spent_meanwhile_is_found_before_the_first_vector(
    tmp_path: Path,
) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("customers", 5.0, 1e-6)
    keeper = PrivacyKeeper(book, "customers")
    agreed, other = private_manifest(["a"]), replace(private_manifest(["a"]), run_id="other")
    program, meanwhile = opened(site(keeper), agreed), opened(site(keeper), other)
    assert isinstance(ask(meanwhile, count(other)), m.NoisyCounts)
    reply = ask(program, count(agreed))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "over_budget"


def test_a_vector_that_cannot_be_kept_does_not_leave(tmp_path: Path) -> None:
    """Drawn anew after a crash, it would be a second look at the same sums."""
    (tmp_path / "taken").write_text("a file where the folder would be")
    seen: list[Envelope] = []
    keeper = PrivacyKeeper(releases=StoredReleases(tmp_path / "taken"))
    with pytest.raises(FederationError, match="not_kept"):
        train(InProcessTransport({"a": site(keeper)}, seen.append), private_manifest(["a"]))
    sent = {type(m.decode_reply(e.body)) for e in seen if e.direction == "from_site"}
    assert sent == {m.RunOpened, m.CategoryHashes, m.Refused}


def test_a_book_that_cannot_be_read_opens_no_run(tmp_path: Path) -> None:
    (tmp_path / "budget.sqlite").mkdir()
    keeper = PrivacyKeeper(BudgetBook(tmp_path / "budget.sqlite"), "customers")
    agreed = private_manifest(["a"])
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=0)
    reply = ask(site(keeper), m.OpenRun(slot=slot, manifest=agreed.to_json()))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "not_kept"


def test_a_run_is_charged_once_and_a_second_one_again(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("customers", 6.0, 1e-6)
    keeper = PrivacyKeeper(book, "customers", StoredReleases(tmp_path / "releases"))
    agreed = private_manifest(["a"], epsilon=4.0)
    recorded(keeper, agreed)
    recorded(keeper, agreed)
    assert len(book.balance("customers").charges) == 1
    recorded(keeper, replace(agreed, run_id="another run"))
    assert len(book.balance("customers").charges) == 2
    with pytest.raises(FederationError, match="over_budget"):
        recorded(keeper, replace(agreed, run_id="a third run"))


def test_another_manifest_under_the_same_run_id_is_another_charge(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    book.limit("customers", 50.0, 1e-6)
    keeper = PrivacyKeeper(book, "customers")
    agreed = private_manifest(["a"])
    recorded(keeper, agreed)
    recorded(keeper, replace(agreed, features=agreed.features[:4], public=agreed.public[:4]))
    assert len(book.balance("customers").charges) == 2


@pytest.mark.parametrize("number", [1, 2])
def test_what_has_no_noise_is_not_answered(number: int) -> None:
    """Neither evaluation nor explanation, nor any round of the ordinary recipe."""
    agreed = private_manifest(["a"])
    transport = InProcessTransport({"a": site()})
    result = train(transport, agreed)
    for asking in (evaluate, explain):
        with pytest.raises(FederationError, match="wrong_state"):
            asking(transport, agreed, result.model, number=number)


def test_an_ordinary_round_is_refused_in_a_private_run() -> None:
    agreed = private_manifest(["a"])
    seen: list[Envelope] = []
    train(InProcessTransport({"a": site()}, seen.append), manifest(["a"], run_id=agreed.run_id))
    ordinary = [m.decode_request(e.body) for e in seen if e.direction == "to_site"]
    program = opened(site(), agreed)
    asked = 0
    for request in ordinary:
        if isinstance(request, m.OpenRun):
            continue
        reply = ask(program, request)
        assert isinstance(reply, m.Refused), type(request).__name__
        asked += 1
    assert asked > 10


def test_a_private_run_does_not_tell_what_labels_a_site_has() -> None:
    agreed = private_manifest(["a"])
    positives = np.flatnonzero(ROWS["label"].to_numpy() == 1)
    program = SiteProgram("a", ArrowSource(ROWS.take(positives)), KEY)
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=0)
    reply = ask(program, m.OpenRun(slot=slot, manifest=agreed.to_json()))
    assert isinstance(reply, m.RunOpened)
    assert reply.notes == ()


@pytest.mark.parametrize(
    ("feature", "updated", "values"),
    [
        (5, 0, [0.0] * 2),
        (0, 5, [0.0] * 2),
        (0, 0, [0.0] * 3),
        (0, 0, [0.0, 1e9]),
        (0, 0, [0.0, float("nan")]),
    ],
)
def test_values_that_fit_no_bin_are_refused(feature: int, updated: int, values: Any) -> None:
    agreed = private_manifest(["a"])
    program = opened(site(), agreed)
    ask(program, count(agreed))
    slot = m.Slot(run=agreed.run_id, tree=m.PREPARATION, level=3)
    ask(program, bins(slot, []))
    tree = m.Slot(run=agreed.run_id, tree=0, level=0)
    asked = m.SumFeature(slot=tree, feature=feature, updated=updated, values=np.array(values))
    reply = ask(program, asked)
    assert isinstance(reply, m.Refused)
    assert reply.reason == "bad_message"


def test_no_copies_of_a_private_model_are_made_from_the_same_rows() -> None:
    program = site()
    train(InProcessTransport({"a": program}), private_manifest(["a"]))
    with pytest.raises(FederationError, match="leaves no copies"):
        program.own_copies()
