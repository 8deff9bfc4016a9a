"""Which event decides: one test a rule, then laws that hold for every ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fed_audience.consent.events import ConsentEvent
from fed_audience.consent.order import NO_EVENT, RULES, Decision, decide, in_order
from fed_audience.consent.rules import JurisdictionRule, Rules
from fed_audience.errors import ConsentError

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
TABLE = Rules(
    JurisdictionRule(*row)
    for row in [
        ("EU", "train", "opt_in", 365, True),
        ("EU", "profile", "opt_in", 365, False),
        ("EU", "activate:email", "opt_in", 365, False),
        ("US", "train", "opt_in", None, False),
        ("US", "profile", "opt_out", None, False),
        ("US", "activate:email", "opt_out", None, False),
        ("ZZ", "train", "opt_in", 100, True),
        ("ZZ", "activate:email", "opt_in", 100, True),
    ]
)
GRANT = ConsentEvent(
    event_id="e1",
    member_id="crm:1",
    subject_id="c1",
    purpose="train",
    status="granted",
    jurisdiction="EU",
    effective_at=NOW - 10 * DAY,
    recorded_at=NOW - 10 * DAY,
    time_trust="server",
    is_minor=False,
    legal_basis="consent",
)


def said(days_ago: float, **changes: object) -> ConsentEvent:
    """An event like GRANT, said and recorded ``days_ago``."""
    at = NOW - days_ago * DAY
    return replace(GRANT, effective_at=at, recorded_at=at, **changes)  # type: ignore[arg-type]


def ask(*events: ConsentEvent, purpose: str = "train") -> Decision:
    return decide(events, purpose=purpose, as_of=NOW, rules=TABLE, subject_id="c1")


def rule(*events: ConsentEvent, purpose: str = "train") -> str:
    decision = ask(*events, purpose=purpose)
    assert decision.allowed is RULES[decision.rule]
    return decision.rule


def test_a_grant_consents() -> None:
    assert ask(GRANT) == Decision("c1", "train", True, "granted", "e1", NOW)


@pytest.mark.parametrize("status", ["denied", "withdrawn", "expired"])
def test_a_later_refusal_ends_it_and_gives_its_name(status: str) -> None:
    assert rule(GRANT, said(9, event_id="e2", status=status)) == status


def test_a_later_grant_renews_it() -> None:
    assert rule(said(11, status="withdrawn"), replace(GRANT, event_id="e2")) == "granted"


class TestKnown:
    def test_what_is_recorded_at_the_instant_is_known(self) -> None:
        assert rule(GRANT, said(0, event_id="e2", status="denied")) == "denied"

    def test_what_is_recorded_later_is_not(self) -> None:
        late = replace(said(5, event_id="e2", status="denied"), recorded_at=NOW + SECOND)
        assert rule(GRANT, late) == "granted"

    def test_what_was_never_recorded_is_not(self) -> None:
        assert rule(replace(GRANT, recorded_at=None)) == NO_EVENT

    def test_an_event_of_nobody_is_not(self) -> None:
        assert rule(replace(GRANT, subject_id=None)) == NO_EVENT

    def test_without_any_event_the_answer_is_no(self) -> None:
        assert ask() == Decision("c1", "train", False, NO_EVENT, None, NOW)


class TestClocks:
    def test_a_client_cannot_postdate_its_grant_over_a_withdrawal(self) -> None:
        withdrawn = said(5, event_id="e2", status="withdrawn")
        skewed = replace(GRANT, time_trust="client", effective_at=NOW - 1 * DAY)
        assert rule(withdrawn, skewed) == "withdrawn"
        assert rule(withdrawn, replace(skewed, time_trust="server")) == "granted"

    def test_a_client_grant_counts_from_when_it_was_given_not_when_it_arrived(self) -> None:
        withdrawn = said(5, event_id="e2", status="withdrawn")
        offline = replace(GRANT, time_trust="client", recorded_at=NOW - 1 * DAY)
        assert rule(withdrawn, offline) == "withdrawn"

    def test_a_client_cannot_backdate_its_withdrawal_under_a_grant(self) -> None:
        skewed = said(5, event_id="e2", status="withdrawn", time_trust="client")
        skewed = replace(skewed, effective_at=NOW - 500 * DAY)
        assert rule(GRANT, skewed) == "withdrawn"
        assert rule(GRANT, replace(skewed, time_trust="server")) == "granted"

    def test_a_clock_of_unknown_trust_is_a_clients(self) -> None:
        skewed = replace(GRANT, time_trust=None, effective_at=NOW - 1 * DAY)
        assert rule(said(5, event_id="e2", status="withdrawn"), skewed) == "withdrawn"

    def test_a_grant_dated_in_the_future_by_a_server_does_not_count_yet(self) -> None:
        assert rule(replace(GRANT, effective_at=NOW + SECOND)) == NO_EVENT
        assert rule(replace(GRANT, effective_at=NOW)) == "granted"

    def test_a_grant_dated_in_the_future_by_a_client_counts_from_its_record(self) -> None:
        future = replace(GRANT, time_trust="client", effective_at=NOW + DAY)
        assert rule(future) == "granted"
        assert future.counts_at == GRANT.recorded_at

    def test_a_refusal_dated_in_the_future_counts_as_soon_as_it_is_known(self) -> None:
        refusal = replace(GRANT, event_id="e2", status="denied", effective_at=NOW + 9 * DAY)
        assert rule(GRANT, refusal) == "denied"

    def test_a_grant_without_a_date_never_counts(self) -> None:
        for trust in ("server", "client"):
            assert rule(replace(GRANT, effective_at=None, time_trust=trust)) == NO_EVENT

    def test_a_refusal_without_a_date_counts_from_its_record(self) -> None:
        refusal = said(9, event_id="e2", status="denied")
        assert rule(GRANT, replace(refusal, effective_at=None)) == "denied"


class TestTies:
    def test_at_the_same_instant_a_refusal_beats_a_grant(self) -> None:
        assert rule(GRANT, replace(GRANT, event_id="e0", status="denied")) == "denied"
        assert rule(GRANT, replace(GRANT, event_id="e2", status="denied")) == "denied"

    def test_at_the_same_instant_silence_beats_a_grant(self) -> None:
        assert rule(GRANT, replace(GRANT, event_id="e2", status="unknown")) == "unknown"

    def test_between_equals_the_smaller_id_decides(self) -> None:
        both = [replace(GRANT, event_id="b", status="withdrawn")]
        both.append(replace(GRANT, event_id="a", status="denied"))
        assert ask(*both).event_id == "a"
        assert ask(*both, replace(both[0], event_id=None)).event_id == "a"


class TestTerms:
    def test_at_the_very_instant_of_its_end_a_grant_has_ended(self) -> None:
        assert rule(replace(GRANT, expires_at=NOW)) == "expired"
        assert rule(replace(GRANT, expires_at=NOW + SECOND)) == "granted"

    def test_without_an_end_of_its_own_the_jurisdictions_term_holds(self) -> None:
        assert rule(said(365)) == "ttl_expired"
        assert rule(said(364.99)) == "granted"

    def test_an_end_of_its_own_outranks_the_term(self) -> None:
        assert rule(replace(said(800), expires_at=NOW + DAY)) == "granted"

    def test_where_there_is_no_term_a_grant_lasts(self) -> None:
        assert rule(said(5_000, jurisdiction="US")) == "granted"

    def test_the_term_runs_from_when_the_grant_counts(self) -> None:
        assert rule(replace(said(400), recorded_at=NOW - DAY)) == "ttl_expired"


class TestRegimes:
    silent = said(5, purpose="activate:email", status="unknown", jurisdiction="US")

    def test_silence_consents_only_where_the_mode_is_opt_out(self) -> None:
        assert rule(self.silent, purpose="activate:email") == "opt_out_default"
        in_europe = replace(self.silent, jurisdiction="EU")
        assert rule(in_europe, purpose="activate:email") == "unknown"

    @pytest.mark.parametrize("status", [None, "pending", "implicit_consent", "Granted"])
    def test_whatever_is_not_a_known_status_is_silence(self, status: str | None) -> None:
        assert rule(replace(self.silent, status=status), purpose="activate:email") == (
            "opt_out_default"
        )
        assert rule(replace(GRANT, status=status)) == "unknown"

    @pytest.mark.parametrize("status", ["denied", "withdrawn", "expired"])
    def test_silence_never_lifts_an_earlier_refusal(self, status: str) -> None:
        refused = replace(said(50, status=status), purpose="activate:email", jurisdiction="US")
        refused = replace(refused, event_id="e2")
        assert rule(refused, self.silent, purpose="activate:email") == status

    def test_silence_ends_a_grant_where_the_mode_is_opt_in(self) -> None:
        assert rule(GRANT, said(5, event_id="e2", status="unknown")) == "unknown"

    def test_training_is_opt_in_even_where_the_rest_is_opt_out(self) -> None:
        assert rule(replace(self.silent, purpose="train")) == "unknown"

    def test_of_two_places_the_stricter_holds_whatever_purpose_named_them(self) -> None:
        elsewhere = said(9, event_id="e2", purpose="profile", jurisdiction="EU")
        assert rule(self.silent, elsewhere, purpose="activate:email") == "unknown"

    def test_of_two_terms_the_shorter_holds(self) -> None:
        there = said(400, jurisdiction="US")
        assert rule(there) == "granted"
        assert rule(there, said(1, event_id="e2", purpose="profile")) == "ttl_expired"

    @pytest.mark.parametrize("place", ["XX", None, "eu"])
    def test_an_unlisted_place_is_the_strictest(self, place: str | None) -> None:
        assert rule(said(99, jurisdiction=place)) == "granted"
        assert rule(said(100, jurisdiction=place)) == "ttl_expired"
        silent = replace(self.silent, jurisdiction=place)
        assert rule(silent, purpose="activate:email") == "unknown"

    def test_a_purpose_without_rules_is_opt_in_on_the_shortest_term(self) -> None:
        sms = said(99, purpose="activate:sms", jurisdiction="US")
        assert rule(sms, purpose="activate:sms") == "granted"
        assert rule(replace(sms, status="unknown"), purpose="activate:sms") == "unknown"
        assert rule(replace(sms, is_minor=None), purpose="activate:sms") == "minor_unknown"
        old = said(100, purpose="activate:sms", jurisdiction="US")
        assert rule(old, purpose="activate:sms") == "ttl_expired"

    def test_one_place_without_a_rule_makes_the_mix_opt_in(self) -> None:
        rules = Rules([JurisdictionRule("US", "profile", "opt_out", None, False)])
        assert rules.regime(["US"], "profile").is_opt_out
        assert not rules.regime(["US", "XX"], "profile").is_opt_out
        assert not rules.regime([], "profile").is_opt_out


class TestMinors:
    def test_nobody_consents_for_a_minor(self) -> None:
        assert rule(replace(GRANT, is_minor=True)) == "minor"

    def test_not_even_silence_where_the_mode_is_opt_out(self) -> None:
        silent = replace(TestRegimes.silent, is_minor=True)
        assert rule(silent, purpose="activate:email") == "minor"

    def test_age_said_on_another_purpose_holds(self) -> None:
        elsewhere = said(1, event_id="e2", purpose="profile", is_minor=True)
        assert rule(replace(GRANT, is_minor=None), elsewhere) == "minor"

    def test_the_newest_statement_holds(self) -> None:
        assert rule(said(50, event_id="e0", is_minor=True), GRANT) == "granted"
        assert rule(said(5, event_id="e2", status="unknown", is_minor=True), GRANT) == "minor"

    def test_newest_is_what_was_recorded_last(self) -> None:
        backdated = replace(said(1, event_id="e2", is_minor=True), effective_at=NOW - 900 * DAY)
        assert rule(GRANT, backdated) == "minor"

    def test_of_two_statements_at_one_instant_minor_holds(self) -> None:
        assert rule(GRANT, replace(GRANT, event_id="e2", is_minor=True)) == "minor"

    def test_one_minor_identity_suffices(self) -> None:
        web = said(500, event_id="e2", member_id="web:1", is_minor=True)
        assert rule(GRANT, web) == "minor"

    def test_unknown_age_follows_the_jurisdiction(self) -> None:
        ageless = replace(GRANT, is_minor=None)
        assert rule(ageless) == "minor_unknown"
        assert rule(replace(ageless, jurisdiction="US")) == "granted"
        both = [replace(ageless, jurisdiction="US"), said(1, purpose="profile", is_minor=None)]
        assert rule(*both) == "minor_unknown"

    def test_a_rule_that_does_not_say_takes_unknown_for_minor(self) -> None:
        rules = Rules([JurisdictionRule("EU", "train", "opt_in", 365, None)])
        ageless = [replace(GRANT, is_minor=None)]
        assert decide(ageless, purpose="train", as_of=NOW, rules=rules).rule == "minor_unknown"


class TestIdentities:
    web = said(20, event_id="w1", member_id="web:1")

    def test_one_refusing_identity_refuses_for_the_person(self) -> None:
        refused = replace(self.web, status="withdrawn")
        decision = ask(GRANT, refused)
        assert (decision.rule, decision.event_id) == ("identity_merge", "w1")

    def test_all_granting_identities_consent(self) -> None:
        assert ask(GRANT, self.web) == replace(ask(GRANT), event_id="e1")

    def test_an_identity_that_never_spoke_on_the_purpose_does_not_count(self) -> None:
        elsewhere = replace(self.web, purpose="profile", status="denied")
        assert rule(GRANT, elsewhere) == "granted"

    def test_an_identity_whose_grant_ended_refuses(self) -> None:
        assert rule(GRANT, replace(self.web, expires_at=NOW)) == "identity_merge"

    def test_when_all_refuse_the_newest_refusal_is_named(self) -> None:
        assert (
            rule(replace(GRANT, status="denied"), replace(self.web, status="withdrawn")) == "denied"
        )

    def test_a_person_is_one_person(self) -> None:
        with pytest.raises(ConsentError, match="2 people"):
            ask(GRANT, replace(GRANT, subject_id="c2"))
        with pytest.raises(ConsentError, match="0 people"):
            decide([], purpose="train", as_of=NOW, rules=TABLE)


def test_no_purpose_implies_another() -> None:
    everything = [said(5, event_id=p, purpose=p) for p in ("collect", "profile", "share_partner")]
    assert rule(*everything) == NO_EVENT
    assert (
        rule(*everything, said(1, event_id="e9", status="denied"), purpose="profile") == "granted"
    )


def test_a_zone_is_converted_not_dropped() -> None:
    at = NOW.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5)))
    assert decide([GRANT], purpose="train", as_of=at, rules=TABLE).as_of == NOW


# --- laws ---

moments = st.sampled_from([NOW + timedelta(days=d) for d in (-400, -150, -30, -2, -1, 0, 1)])
ledgers = st.lists(
    st.builds(
        ConsentEvent,
        event_id=st.text("abcdef", min_size=1, max_size=3),
        member_id=st.sampled_from(["crm:1", "web:1", "app:1"]),
        subject_id=st.just("c1"),
        purpose=st.sampled_from(["train", "profile", "activate:email", "activate:sms"]),
        status=st.sampled_from(
            ["granted", "granted", "granted", "denied", "withdrawn", "expired", "unknown", None]
        ),
        jurisdiction=st.sampled_from(["EU", "US", "US", "XX", None]),
        effective_at=st.none() | moments,
        recorded_at=st.none() | moments,
        expires_at=st.none() | moments,
        time_trust=st.sampled_from(["server", "client", None]),
        is_minor=st.sampled_from([False, False, None, True]),
        legal_basis=st.none(),
    ),
    max_size=8,
    unique_by=lambda event: event.event_id,
)
purposes = st.sampled_from(["train", "profile", "activate:email", "activate:sms"])


@given(ledgers, purposes, st.randoms())
def test_the_order_of_rows_changes_nothing(
    ledger: list[ConsentEvent], purpose: str, random: object
) -> None:
    before = ask(*ledger, purpose=purpose)
    shuffled = list(ledger)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ask(*shuffled, purpose=purpose) == before


@given(ledgers, purposes, st.data())
def test_adding_a_refusal_never_grants(
    ledger: list[ConsentEvent], purpose: str, data: st.DataObject
) -> None:
    refusal = data.draw(
        st.builds(
            replace,
            st.just(GRANT),
            event_id=st.sampled_from(["a", "zzzz"]),
            member_id=st.sampled_from(["crm:1", "web:1", "new:1"]),
            purpose=purposes,
            status=st.sampled_from(["denied", "withdrawn", "expired"]),
            jurisdiction=st.sampled_from(["EU", "US", "XX", None]),
            effective_at=st.none() | moments,
            recorded_at=st.none() | moments,
            time_trust=st.sampled_from(["server", "client", None]),
            is_minor=st.none(),
        )
    )
    if ask(*ledger, refusal, purpose=purpose).allowed:
        assert ask(*ledger, purpose=purpose).allowed


@given(ledgers, purposes)
def test_without_a_grant_only_opt_out_allows(ledger: list[ConsentEvent], purpose: str) -> None:
    said_nothing = [replace(e, status=None) if e.status == "granted" else e for e in ledger]
    decision = ask(*said_nothing, purpose=purpose)
    assert not decision.allowed or decision.rule == "opt_out_default"
    in_europe = [replace(event, jurisdiction="EU") for event in said_nothing]
    assert not ask(*in_europe, purpose=purpose).allowed


@given(ledgers, st.text(max_size=12))
def test_a_purpose_that_nobody_spoke_on_is_never_granted(
    ledger: list[ConsentEvent], purpose: str
) -> None:
    assume(purpose not in {event.purpose for event in ledger})
    assert rule(*ledger, purpose=purpose) == NO_EVENT


@given(ledgers, purposes)
def test_what_was_not_known_changes_nothing(ledger: list[ConsentEvent], purpose: str) -> None:
    known = [e for e in ledger if e.recorded_at is not None and e.recorded_at <= NOW]
    assert ask(*ledger, purpose=purpose) == ask(*known, purpose=purpose)


@given(ledgers, purposes)
def test_the_deciding_event_is_one_that_counts(ledger: list[ConsentEvent], purpose: str) -> None:
    decision = ask(*ledger, purpose=purpose)
    counting = {event.event_id for event in in_order(ledger, purpose, NOW, TABLE)}
    assert (decision.event_id in counting) if counting else (decision.rule == NO_EVENT)
