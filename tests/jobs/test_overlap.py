"""Two organisations compare customers by exchanging files; what does not fit is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fed_audience.audit import entries as e
from fed_audience.audit.fields import band
from fed_audience.audit.keys import LOG_KEY, KeyFile, VerifierKey
from fed_audience.audit.verification import verify
from fed_audience.errors import BudgetError, ConfigError, ConsentError, DataError, UsageError
from fed_audience.federation.messages import wire
from fed_audience.federation.messages.overlap import (
    OVERLAP_KINDS,
    OverlapAnswer,
    OverlapMessage,
    OverlapQuestion,
    OverlapResult,
    signed,
)
from fed_audience.federation.recording import read_recording, recording_of
from fed_audience.federation.transport import Envelope
from fed_audience.jobs.erasure import erase_person
from fed_audience.jobs.overlap import OverlapSide
from fed_audience.jobs.overlap_list import comparable
from fed_audience.jobs.sites import site_of
from fed_audience.privacy.overlap.noise import reach
from fed_audience.privacy.overlap.points import Workers
from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.testing.inspection import inspect_recording
from tests.jobs.overlap_brands import (
    COMMON,
    MEMBERS,
    NOW,
    SALT,
    Organisation,
    Pair,
    customer_id,
    email,
    introduced,
)

ONE = Workers(1)


@pytest.fixture(scope="module")
def exchanged(pair_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question and its answer, and the pair as each of them left it: `asked` and `answered`."""
    folder = tmp_path_factory.mktemp("exchanged")
    pair = introduced(shutil.copytree(pair_template, folder / "answered"))
    question = folder / "a.question"
    pair.fashion.side.start("fashion", "grocery", question, SALT, ONE)
    shutil.copytree(folder / "answered", folder / "asked")
    pair.grocery.side.answer(question, folder / "a.answer", SALT, ONE)
    return folder


@pytest.fixture
def question(pair: Pair, exchanged: Path, tmp_path: Path) -> Path:
    (tmp_path / "sent").mkdir()
    return handed(exchanged, pair, "asked", tmp_path / "sent" / "a.question")


@pytest.fixture
def answer(pair: Pair, exchanged: Path, question: Path) -> Path:
    return handed(exchanged, pair, "answered", question.with_suffix(".answer"))


def handed(exchanged: Path, pair: Pair, step: str, message: Path) -> Path:
    """Put the pair where ``step`` left it, and a copy of what was sent at ``message``."""
    shutil.copytree(exchanged / step, pair.fashion.folder.parent, dirs_exist_ok=True)
    shutil.copy(exchanged / message.name, message)
    return message


def refused(reason: str, work: Callable[..., object], *arguments: object) -> OverlapError:
    with pytest.raises(OverlapError) as caught:
        work(*arguments)
    assert caught.value.reason == reason
    return caught.value


def message(path: Path) -> Any:
    (envelope,) = read_recording(path)
    return wire.decode(envelope.body, OVERLAP_KINDS)


def rewritten(path: Path, changed: OverlapMessage, brand: Organisation | None = None) -> Path:
    """Write ``changed`` in place of a message, signed by ``brand`` if given."""
    if brand is not None:
        pem = brand.folder / "audit" / "keys" / "sites" / f"{brand.brand}.pem"
        changed = signed(changed, KeyFile.open(pem, f"pair/{brand.brand}"))
    path.write_bytes(recording_of(Envelope("x", "from_site", wire.encode(changed))))
    return path


def entries_of(brand: Organisation, partner: str) -> tuple[e.Entry, ...]:
    log = brand.folder / "audit" / f"overlap-{brand.brand}-{partner}.jsonl"
    return verify(log, pinned=brand.pinned, kept=[brand.folder / "audit" / "kept"]).entries


def test_two_processes_count_what_two_organisations_have_in_common(pair: Pair) -> None:
    """Each step is a process of its own, in the folder of its own organisation."""
    fashion, grocery = pair.fashion, pair.grocery
    as_of = ("--as-of", "2026-06-01T00:00")
    asked = fashion.command("start", "fashion", "grocery", *as_of, "--out", "q.question")
    (grocery.folder / "q.question").write_bytes((fashion.folder / "q.question").read_bytes())
    answered = grocery.command("answer", "q.question", *as_of)
    (fashion.folder / "q.answer").write_bytes((grocery.folder / "q.answer").read_bytes())
    counted: Any = fashion.command("finish", "q.answer")
    (grocery.folder / "q.count").write_bytes((fashion.folder / "q.count").read_bytes())
    told: Any = grocery.command("read", "q.count")
    assert asked["listed"] == 1_125
    assert asked["sent"] == 1_200
    assert answered["number"] == asked["number"] == 1
    most = reach(grocery.settings.overlap.policy().exact_epsilon) if grocery.settings.overlap else 0
    for found in (counted, told):
        assert abs(found["released"]["count"] - COMMON) <= most + 5
        assert found["released"]["count"] % 10 == 0
    assert not list((fashion.folder / "overlap" / "open").iterdir())
    assert not list((grocery.folder / "overlap" / "open").iterdir())


def test_only_who_consents_is_compared_and_once(pair: Pair) -> None:
    settings = pair.fashion.settings
    assert settings.overlap is not None
    site = site_of(settings.sites[0])
    found = comparable(site, settings, settings.overlap, NOW)
    assert found == sorted(email(number) for number in range(1_250) if number % 10)
    pair.fashion.execute(
        "update int_consent_ledger set status = 'withdrawn' where subject_id in"
        " (select customer_id from int_contact_details where email = '"
        f"{email(3)}')"
    )
    assert email(3) not in comparable(site, settings, settings.overlap, NOW)


def test_who_was_erased_or_has_refused_since_the_instant_is_not_compared(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FED_AUDIENCE_STATE_KEY", "a state key that nobody else knows")
    settings = pair.fashion.settings
    assert settings.overlap is not None
    site = site_of(settings.sites[0])
    assert {email(3), email(4)} < set(comparable(site, settings, settings.overlap, NOW))
    secret = SecretStr("a state key that nobody else knows")
    erase_person(site, customer_id("fashion", 3), secret=secret, now=NOW)
    pair.fashion.execute(
        "insert into int_consent_ledger select * replace ('withdrawn' as status,"
        " recorded_at + interval 3 hour as recorded_at) from int_consent_ledger"
        f" where subject_id = '{customer_id('fashion', 4)}' and purpose = 'share_partner'"
    )
    found = comparable(site, settings, settings.overlap, NOW)
    assert {email(3), email(4)}.isdisjoint(found)
    assert len(found) == 1_123


def test_an_audience_is_compared_by_its_members_who_allow_profiling(pair: Pair) -> None:
    settings = pair.fashion.settings
    assert settings.overlap is not None
    site, top = site_of(settings.sites[0]), settings.audience("top")
    members = [number for number in MEMBERS if number < 1_250 and number % 10]
    found = comparable(site, settings, settings.overlap, NOW, top)
    assert found == sorted(map(email, members))
    pair.fashion.execute(
        "update int_consent_ledger set status = 'denied' where purpose = 'profile'"
    )
    assert comparable(site, settings, settings.overlap, NOW, top) == []
    assert len(comparable(site, settings, settings.overlap, NOW)) == 1_125
    pair.fashion.execute("delete from fed_audience.audience_members")
    with pytest.raises(DataError, match="has no members"):
        comparable(site, settings, settings.overlap, NOW, top)


def test_phones_are_compared_in_the_international_form(pair: Pair) -> None:
    pair.fashion.edit(
        "{purpose: share_partner}",
        "{purpose: share_partner, identifier: phone, country_code: '49'}",
    )
    settings = pair.fashion.settings
    assert settings.overlap is not None
    found = comparable(site_of(settings.sites[0]), settings, settings.overlap, NOW)
    assert "+491710000123" in found
    assert len(found) == 1_125


def test_an_old_ledger_stops_the_query_before_anything_is_spent(pair: Pair, tmp_path: Path) -> None:
    later = OverlapSide(pair.fashion.settings, as_of=NOW + timedelta(days=2), now=NOW)
    with pytest.raises(ConsentError, match="too old"):
        later.start("fashion", "grocery", tmp_path / "q", SALT, ONE)
    assert not (tmp_path / "q").exists()
    assert pair.fashion.side.start("fashion", "grocery", tmp_path / "q", SALT, ONE).number == 1


def test_the_size_of_an_audience_that_the_partner_knows(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "q.question"
    done = pair.fashion.side.start("fashion", "grocery", path, SALT, ONE, "top")
    assert done.listed == 1_008
    assert message(path).terms.restricted
    assert "top" not in path.read_bytes().decode("latin-1")
    pair.grocery.side.answer(path, tmp_path / "q.answer", SALT, ONE)
    found = pair.fashion.side.finish(tmp_path / "q.answer", tmp_path / "q.count", ONE)
    assert found.released.count is not None
    assert abs(found.released.count - 468) <= 290
    compared = entries_of(pair.fashion, "grocery")[1]
    assert isinstance(compared, e.OverlapCompared)
    assert compared.audience == "top"


def test_a_short_audience_is_refused(pair: Pair, tmp_path: Path) -> None:
    pair.fashion.execute(
        "delete from fed_audience.audience_members where customer_id >= 'fashion-e'"
    )
    start = pair.fashion.side.start
    refused("short_list", start, "fashion", "grocery", tmp_path / "q", SALT, ONE, "top")
    assert not (tmp_path / "q").exists()
    assert not (pair.fashion.folder / "overlap").exists()


def test_no_identifier_nor_its_hash_is_in_any_byte_that_is_exchanged(
    pair: Pair, question: Path, answer: Path
) -> None:
    count = answer.with_suffix(".count")
    pair.fashion.side.finish(answer, count, ONE)
    people = [email(number) for number in range(1_900)]
    needles: list[str | bytes] = [
        "person",
        "mail.example",
        SALT.get_secret_value(),
        *(email(number) for number in (1, 601, 1_249, 1_899)),
        *(sha256(email(number).encode()).digest() for number in (1, 601, 1_249, 1_899)),
    ]
    for path in (question, answer, count):
        body = path.read_bytes()
        for plain in people:
            for hashing in (sha256, sha1):
                assert hashing(plain.encode()).digest() not in body
                assert hashing(plain.encode()).hexdigest().encode() not in body
        found = inspect_recording(path, needles)
        assert found.complaints == ()
        (kind,) = found.kinds
        assert (kind.direction, kind.messages) == ("from_site", 1)
        assert kind.kind == type(message(path)).__name__


def test_messages_come_back_as_the_bytes_they_were(question: Path, answer: Path) -> None:
    for path in (question, answer):
        assert recording_of(Envelope("fashion", "from_site", wire.encode(message(path)))).endswith(
            next(read_recording(path)).body
        )


def test_both_logs_tell_of_the_query_and_hold_no_count(
    pair: Pair, question: Path, answer: Path
) -> None:
    count = answer.with_suffix(".count")
    told = pair.fashion.side.finish(answer, count, ONE)
    read = pair.grocery.side.read(count)
    for brand, partner, side, listed in (
        (pair.fashion, "grocery", "asked", 1_125),
        (pair.grocery, "fashion", "answered", 1_170),
    ):
        opened, compared, released = entries_of(brand, partner)
        assert isinstance(opened, e.LogOpened)
        assert isinstance(compared, e.OverlapCompared)
        assert isinstance(released, e.OverlapReleased)
        assert compared.query == released.query == message(question).terms.terms().sha256
        assert (compared.side, compared.purpose, compared.number) == (side, "share_partner", 1)
        assert compared.listed == band(listed)
        assert released.overlap == "100 to 999"
        log = (brand.folder / "audit" / f"overlap-{brand.brand}-{partner}.jsonl").read_text()
        counts = {told.released.count, read.released.count, COMMON, listed, told.query}
        # A number of three digits may stand in a signature by chance: whole fields are compared.
        fields = {str(value) for entry in (compared, released) for value in dict(entry).values()}
        assert not {str(one) for one in counts} & fields
        assert "@" not in log
        assert SALT.get_secret_value() not in log
        for point in (message(question).points[0], message(answer).points[0]):
            assert point.tobytes().hex() not in log


def test_the_month_ends_the_queries_of_a_pair_on_either_side(pair: Pair, tmp_path: Path) -> None:
    pair.fashion.edit("share_partner}", "share_partner, queries_per_month: 2}")
    for number in range(2):
        pair.fashion.side.start("fashion", "grocery", tmp_path / f"{number}", SALT, ONE)
    with pytest.raises(BudgetError, match="2 asked or answered in 2026-06"):
        pair.fashion.side.start("fashion", "grocery", tmp_path / "2", SALT, ONE)
    assert not (tmp_path / "2").exists()
    pair.grocery.edit("share_partner}", "share_partner, queries_per_month: 1}")
    pair.grocery.side.answer(tmp_path / "0", tmp_path / "0.answer", SALT, ONE)
    with pytest.raises(BudgetError, match="grocery has no query with fashion left"):
        pair.grocery.side.answer(tmp_path / "1", tmp_path / "1.answer", SALT, ONE)
    assert not (tmp_path / "1.answer").exists()


def test_a_question_is_answered_once(pair: Pair, question: Path, answer: Path) -> None:
    refused("replayed", pair.grocery.side.answer, question, answer.with_name("b"), SALT, ONE)
    assert not answer.with_name("b").exists()


def test_an_answer_is_counted_once(pair: Pair, answer: Path) -> None:
    count = answer.with_suffix(".count")
    pair.fashion.side.finish(answer, count, ONE)
    refused("not_open", pair.fashion.side.finish, answer, count, ONE)
    pair.grocery.side.read(count)
    refused("not_open", pair.grocery.side.read, count)


def test_a_finish_that_a_crash_interrupted_gives_the_same_count_again(
    pair: Pair, answer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = answer.with_suffix(".count")
    with monkeypatch.context() as patch:
        patch.setattr("fed_audience.jobs.overlap_state.OpenQueries.forget", lambda *_: None)
        first = pair.fashion.side.finish(answer, count, ONE)
    told = message(count).count
    assert pair.fashion.side.finish(answer, count, ONE) == first
    assert message(count).count == told


def test_another_salt_is_noticed_before_it_counts_nobody(pair: Pair, question: Path) -> None:
    out, other = question.with_suffix(".answer"), SecretStr("some other salt of theirs")
    refused("other_salt", pair.grocery.side.answer, question, out, other, ONE)


@pytest.mark.parametrize(
    "rules", ["threshold: 60", "epsilon: 0.2", "identifier: phone", "minimum_list: 1100"]
)
def test_partners_must_state_the_same_rules(pair: Pair, question: Path, rules: str) -> None:
    pair.grocery.edit("share_partner}", f"share_partner, {rules}}}")
    out = question.with_suffix(".answer")
    error = refused("other_terms", pair.grocery.side.answer, question, out, SALT, ONE)
    assert str(error.limit).startswith(rules.partition(":")[0])


@pytest.mark.parametrize(
    "changes", [{"federation": "another"}, {"answering": "travel"}, {"asking": "travel"}]
)
def test_a_question_of_another_collaboration_is_refused(
    pair: Pair, question: Path, changes: dict[str, str]
) -> None:
    sent = message(question)
    terms = sent.terms.model_copy(update=changes)
    rewritten(question, sent.model_copy(update={"terms": terms}), pair.fashion)
    reason = "unknown_partner" if "asking" in changes else "not_for_us"
    refused(reason, pair.grocery.side.answer, question, question.with_suffix(".answer"), SALT, ONE)


def test_laxer_terms_than_the_protocol_has_are_refused(pair: Pair, question: Path) -> None:
    sent = message(question)
    terms = sent.terms.model_copy(update={"threshold": 10})
    rewritten(question, sent.model_copy(update={"terms": terms}), pair.fashion)
    out = question.with_suffix(".answer")
    refused("bad_terms", pair.grocery.side.answer, question, out, SALT, ONE)


def test_a_message_that_its_sender_did_not_sign_is_refused(
    pair: Pair, question: Path, answer: Path
) -> None:
    out, sent = question.with_name("b"), message(answer)
    for forged in (
        sent.model_copy(update={"points": sent.points[:-1]}),
        sent.model_copy(update={"signature": ""}),
        sent.model_copy(update={"signature": message(question).signature}),
    ):
        rewritten(answer, forged)
        refused("bad_signature", pair.fashion.side.finish, answer, out, ONE)
    asked = message(question)
    rewritten(question, asked.model_copy(update={"salt_check": "0" * 64}))
    refused("bad_signature", pair.grocery.side.answer, question, out, SALT, ONE)


def test_an_answer_under_other_terms_or_to_another_query_is_refused(
    pair: Pair, answer: Path
) -> None:
    out, sent = answer.with_name("b"), message(answer)
    rewritten(answer, sent.model_copy(update={"terms_sha256": "0" * 64}), pair.grocery)
    refused("other_query", pair.fashion.side.finish, answer, out, ONE)
    rewritten(answer, sent.model_copy(update={"query": "0" * 32}), pair.grocery)
    refused("not_open", pair.fashion.side.finish, answer, out, ONE)


def test_a_file_of_another_step_is_refused(pair: Pair, question: Path, answer: Path) -> None:
    out = answer.with_name("b")
    refused("not_for_us", pair.grocery.side.answer, answer, out, SALT, ONE)
    refused("not_for_us", pair.fashion.side.finish, question, out, ONE)
    refused("not_for_us", pair.grocery.side.read, answer)
    two = question.read_bytes() + question.read_bytes()[5:]
    question.write_bytes(two)
    refused("not_for_us", pair.grocery.side.answer, question, out, SALT, ONE)


@pytest.mark.parametrize("kept", [0, 3, 40, 400, -1])
def test_a_truncated_file_is_refused(pair: Pair, question: Path, kept: int) -> None:
    question.write_bytes(question.read_bytes()[:kept])
    with pytest.raises(DataError):
        pair.grocery.side.answer(question, question.with_name("b"), SALT, ONE)


def test_malicious_points_are_refused_by_the_command_too(pair: Pair, question: Path) -> None:
    sent = message(question)
    points = sent.points.copy()
    points[0] = 0
    rewritten(question, sent.model_copy(update={"points": points}), pair.fashion)
    out = question.with_suffix(".answer")
    refused("bad_point", pair.grocery.side.answer, question, out, SALT, ONE)
    assert not out.exists()
    used = pair.grocery.folder / "overlap" / "queries.sqlite"
    assert not used.exists(), "what was refused costs no query"


def test_a_partner_whose_key_is_not_pinned_is_refused(pair: Pair, tmp_path: Path) -> None:
    start = pair.fashion.side.start
    error = refused("unknown_partner", start, "fashion", "travel", tmp_path / "q", SALT, ONE)
    assert "trusted.keys" in str(error)


def test_a_log_key_is_no_site_key(pair: Pair, question: Path) -> None:
    """The coordinator's own key, under the partner's name, signs no message."""
    log_key = KeyFile.open(pair.fashion.folder / "audit" / "keys" / "coordinator.pem", "x")
    line = str(VerifierKey("pair/fashion", LOG_KEY, log_key.public_key))
    pinned = [one for one in pair.grocery.pinned.read_text().splitlines() if "fashion" not in one]
    pair.grocery.pinned.write_text("\n".join([*pinned, line]))
    out = question.with_suffix(".answer")
    refused("bad_signature", pair.grocery.side.answer, question, out, SALT, ONE)


def test_wrong_names_are_usage_errors(pair: Pair, tmp_path: Path) -> None:
    start, out = pair.fashion.side.start, tmp_path / "q"
    with pytest.raises(UsageError, match="no such brand of its own"):
        start("grocery", "fashion", out, SALT, ONE)
    with pytest.raises(UsageError, match="compared with itself"):
        start("fashion", "fashion", out, SALT, ONE)
    with pytest.raises(ConfigError, match="did you mean 'top'"):
        start("fashion", "grocery", out, SALT, ONE, "tpo")


def test_without_a_purpose_nothing_is_compared(pair: Pair) -> None:
    pair.fashion.edit("overlap: {purpose: share_partner}", "")
    with pytest.raises(ConfigError, match="for which purpose"):
        OverlapSide(pair.fashion.settings, as_of=NOW)
    text = pair.fashion.config.read_text()
    for wrong, words in (
        ("overlap: {}", "overlap.purpose: Field required"),
        ("overlap: {purpose: share_partners}", "did you mean 'share_partner'"),
        ("overlap: {purpose: share_partner, treshold: 60}", "did you mean 'threshold'"),
        ("overlap: {purpose: share_partner, threshold: 10}", "allowed: 50 or more"),
    ):
        pair.fashion.config.write_text(f"{text}\n{wrong}\n")
        with pytest.raises(ConfigError, match=words):
            _ = pair.fashion.settings


def test_what_is_kept_of_an_open_query_is_for_its_owner_alone(pair: Pair, question: Path) -> None:
    (kept,) = (pair.fashion.folder / "overlap" / "open").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(kept.read_text())["terms"]["asking"] == "fashion"


def test_a_kept_file_that_was_damaged_is_refused_by_name(
    pair: Pair, question: Path, answer: Path
) -> None:
    (kept,) = (pair.fashion.folder / "overlap" / "open").iterdir()
    whole = json.loads(kept.read_text())
    for damaged in ("{", "[]", "{}", json.dumps({**whole, "kept": {}})):
        kept.write_text(damaged)
        out = answer.with_name("b")
        refused("kept_state", pair.fashion.side.finish, answer, out, ONE)


def test_every_message_has_its_place_in_the_catalogue() -> None:
    kinds = {OverlapQuestion, OverlapAnswer, OverlapResult}
    assert set(OVERLAP_KINDS.values()) == kinds == set(OverlapMessage.__subclasses__())
    assert all(kind.reveals for kind in OVERLAP_KINDS.values())
