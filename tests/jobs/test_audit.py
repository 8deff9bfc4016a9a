"""What the jobs tell the audit log of a run, and what becomes of jobs whose log is not sound."""

from __future__ import annotations

import hmac
import stat
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from fed_audience.audit import entries as e
from fed_audience.audit.fields import TIME_FORMAT
from fed_audience.audit.order import EntryOrder
from fed_audience.audit.verification import Verification, verify
from fed_audience.config import secret_from_environment
from fed_audience.errors import AuditError, ConfigError, FederationError
from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, train
from fed_audience.federation import messages as m
from fed_audience.federation.manifest import Task
from fed_audience.federation.site.steps import Steps
from fed_audience.jobs import audit_rounds
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.audit_rounds import RoundRecorder
from fed_audience.jobs.score import score_model
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sync import sync_audience
from fed_audience.jobs.train import TrainedModel, train_model
from tests.federation.example import manifest, programs, split, table
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation

KEY = b"a category key that nobody else knows"


def trained(federation: SmallFederation, seen: list[Envelope] | None = None) -> TrainedModel:
    settings = federation.settings
    return train_model(
        settings,
        settings.model("repurchase"),
        as_of=NOW,
        category_key=KEY,
        on_message=None if seen is None else seen.append,
    )


def log_of(federation: SmallFederation) -> Path:
    (path,) = (federation.folder / "audit").glob("*.jsonl")
    return path


def verified(federation: SmallFederation) -> Verification:
    audit = federation.folder / "audit"
    return verify(log_of(federation), pinned=audit / "keys" / "trusted.keys", kept=[audit / "kept"])


def use(federation: SmallFederation) -> None:
    settings = federation.settings
    list(score_model(settings, settings.model("repurchase"), as_of=NOW, category_key=KEY))
    build_audience(settings, settings.audience("top"), as_of=NOW, key=b"ties")


def deliver(federation: SmallFederation) -> list[str]:
    settings = federation.settings
    return [
        done.report.status
        for done in sync_audience(
            settings,
            settings.audience("top"),
            base=federation.folder,
            as_of=NOW,
            secret=secret_from_environment("FED_AUDIENCE_STATE_KEY"),
        )
    ]


def test_a_training_and_what_is_done_with_its_model_are_told(
    small_federation: SmallFederation,
) -> None:
    model = trained(small_federation)
    use(small_federation)
    deliver(small_federation)
    found = verified(small_federation)
    kinds = [type(entry) for entry in found.entries if not isinstance(entry, e.RoundSummed)]
    assert kinds == [
        e.LogOpened,
        e.RunStarted,
        e.Decision,
        e.ModelTrained,
        e.ModelRegistered,
        e.ModelRegistered,
        e.RunEnded,
        e.Scored,
        e.Scored,
        e.AudienceBuilt,
        e.AudienceBuilt,
        e.AudienceDelivered,
        e.AudienceDelivered,
    ]
    started, told = found.entries[1], found.entries[kinds.index(e.ModelTrained) - len(kinds)]
    assert isinstance(started, e.RunStarted)
    assert started.manifest_sha256 == model.manifest.sha256
    assert {(row.site, row.used) for row in started.rows} == {
        (brand, "100 to 999") for brand in BRANDS
    }
    assert isinstance(told, e.ModelTrained)
    assert told.model_sha256 == model.result.sha256
    assert "one process" in found.unchecked[-1]


def test_every_round_is_told_by_digests_that_who_holds_the_key_can_check(
    small_federation: SmallFederation,
) -> None:
    seen: list[Envelope] = []
    model = trained(small_federation, seen)
    rounds = [one for one in verified(small_federation).entries if isinstance(one, e.RoundSummed)]
    assert len(rounds) == model.result.rounds
    keys = small_federation.folder / "audit" / "keys"
    (key,) = (keys / "digests").glob("*.key")

    def digest(body: bytes) -> str:
        return hmac.digest(key.read_bytes(), body, "sha256").hex()

    sent = [digest(one.body) for one in seen if one.direction == "from_site"]
    assert [one.digest for entry in rounds for one in entry.received] == sent
    asked = {digest(one.body) for one in seen if one.direction == "to_site"}
    assert {entry.sent for entry in rounds} == asked
    messages = [m.decode(one.body) for one in seen]
    asks = next(one for one in messages if isinstance(one, m.StartTree))
    first, second, *_ = (
        one.elements(asks.packing.ring) for one in messages if isinstance(one, m.RootHistogram)
    )
    assert digest((first + second).tobytes()) in {entry.aggregate for entry in rounds}


def test_every_task_that_can_be_trained_can_be_told() -> None:
    assert get_args(e.RunStarted.model_fields["task"].annotation) == get_args(Task)


def test_sites_counter_sign_between_trees(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(small_federation)
    plain = verified(small_federation)
    assert plain.checkpoints == 2
    small_federation.edit("n_estimators: 4", "n_estimators: 5")
    for brand in BRANDS:
        pending = "update fed_audience.training_requests set status = 'pending'"
        small_federation.execute(brand, pending)
    log_of(small_federation).unlink()
    monkeypatch.setattr(audit_rounds, "CHECKPOINT_ENTRIES", 1)
    model = trained(small_federation)
    often = verified(small_federation)
    assert often.checkpoints >= len(model.result.model.trees) + 2
    starts = {one.sequence for one in often.entries if isinstance(one, e.RoundSummed)}
    sizes = {one.checkpoint for one in often.entries}
    for size in sizes & starts:
        first, last = often.entries[size], often.entries[size - 1]
        assert isinstance(first, e.RoundSummed)
        assert not isinstance(last, e.RoundSummed) or last.tree < first.tree


def test_no_customer_and_no_secret_is_in_a_log(small_federation: SmallFederation) -> None:
    trained(small_federation)
    use(small_federation)
    deliver(small_federation)
    text = log_of(small_federation).read_text()
    for brand in BRANDS:
        assert f"{brand}000" not in text
        assert f"{brand}000@example.org" not in text
    assert KEY.decode() not in text
    for file in (small_federation.folder / "audit" / "keys").rglob("*"):
        if file.suffix in {".pem", ".key"}:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert file.read_bytes().hex() not in text
            if file.suffix == ".pem":
                assert file.read_text().splitlines()[1] not in text


def test_keys_stand_where_the_settings_or_the_environment_say(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_federation.edit("name: small\n", "name: small\naudit: {folder: books, keys: vault}\n")
    settings = small_federation.settings
    assert settings.audit.folder == small_federation.folder / "books"
    assert settings.audit.keys_folder == small_federation.folder / "vault"
    monkeypatch.setenv("FED_AUDIENCE_AUDIT_KEYS", str(tmp_path / "safe"))
    assert small_federation.settings.audit.keys_folder == tmp_path / "safe"
    trained(small_federation)
    assert (tmp_path / "safe" / "sites" / "ant.pem").is_file()
    assert list((small_federation.folder / "books").glob("*.jsonl"))


def test_a_training_that_breaks_is_told_as_failed(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = SiteProgram.steps, []

    def steps(self: SiteProgram, body: bytes) -> Steps[bytes]:
        calls.append(self.name)
        if len(calls) < 12:
            return (yield from original(self, body))
        return b"customer_id,email\n"

    monkeypatch.setattr(SiteProgram, "steps", steps)
    with pytest.raises(FederationError, match="what is not a reply"):
        trained(small_federation)
    *_, before, end = verified(small_federation).entries
    assert isinstance(end, e.RunEnded)
    assert (end.status, end.error) == ("failed", "FederationError")
    assert isinstance(before, e.RoundSummed)
    assert "Unreadable" in {one.kind for one in before.received}


def test_a_training_that_is_stopped_is_told_as_interrupted(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(self: SiteProgram, body: bytes) -> Steps[bytes]:
        raise KeyboardInterrupt

    monkeypatch.setattr(SiteProgram, "steps", steps)
    with pytest.raises(KeyboardInterrupt):
        trained(small_federation)
    *_, end = verified(small_federation).entries
    assert isinstance(end, e.RunEnded)
    assert (end.status, end.error) == ("interrupted", None)


def tamper(path: Path) -> None:
    body = path.read_bytes()
    assert b'"task":"propensity"' in body
    path.write_bytes(body.replace(b'"task":"propensity"', b'"task":"lookalike"'))


def test_nothing_is_scored_into_a_tampered_log(small_federation: SmallFederation) -> None:
    trained(small_federation)
    tamper(log_of(small_federation))
    with pytest.raises(AuditError, match="entry 1"):
        use(small_federation)


def test_withdrawals_do_not_wait_for_a_tampered_log(small_federation: SmallFederation) -> None:
    trained(small_federation)
    use(small_federation)
    tamper(log_of(small_federation))
    with pytest.raises(AuditError, match="entry 1"):
        deliver(small_federation)
    for brand in BRANDS:
        sent = "select count(*) from fed_audience.sync_state"
        assert small_federation.value(brand, sent) != 0


def test_a_model_without_a_log_gets_one_with_its_first_use(
    small_federation: SmallFederation,
) -> None:
    trained(small_federation)
    for file in [log_of(small_federation), *(small_federation.folder / "audit/kept").rglob("*.c*")]:
        file.unlink()
    use(small_federation)
    kinds = [type(entry) for entry in verified(small_federation).entries]
    assert kinds == [e.LogOpened, e.Scored, e.Scored, e.AudienceBuilt, e.AudienceBuilt]


def test_a_log_that_was_taken_away_is_missed(small_federation: SmallFederation) -> None:
    trained(small_federation)
    log_of(small_federation).unlink()
    with pytest.raises(AuditError, match="a party kept a checkpoint of a longer one"):
        use(small_federation)


def test_an_override_names_who_decided_it(small_federation: SmallFederation) -> None:
    model = "  - name: repurchase\n"
    small_federation.edit(model, f"{model}    override_brand_difference: agreed\n")
    with pytest.raises(ConfigError, match="override_by: who decided it"):
        load_federation(small_federation.config)


def test_a_site_cannot_take_the_coordinators_name(small_federation: SmallFederation) -> None:
    small_federation.edit("{name: bee, project: bee}", "{name: coordinator, project: bee}")
    with pytest.raises(ConfigError, match="cannot be called 'coordinator'"):
        load_federation(small_federation.config)


def test_what_is_declared_is_in_the_log_and_in_the_records(
    small_federation: SmallFederation,
) -> None:
    small_federation.edit(
        "name: small\n",
        "name: small\naudit:\n  record:\n    purpose: reach buyers\n    legal_basis: consent\n"
        "    controllers: [Ant, Bee]\n    data_subjects: [customers]\n"
        "    data_categories: [purchases]\n    retention: one year\n",
    )
    trained(small_federation)
    started = verified(small_federation).entries[1]
    assert isinstance(started, e.RunStarted)
    assert started.record is not None
    assert started.record.retention == "one year"


class Lines:
    """Stands for a log and keeps what it is told."""

    uncovered = 0

    def __init__(self) -> None:
        self.told: list[tuple[type[e.Entry], dict[str, Any]]] = []

    def append(self, kind: type[e.Entry], /, **fields: Any) -> None:
        self.told.append((kind, fields))

    def checkpoint(self, *, durable: bool = True) -> None:
        assert not durable


def test_a_site_that_does_not_answer_is_told_as_dropped(
    small_federation: SmallFederation,
) -> None:
    seen: list[Envelope] = []
    trained(small_federation, seen)
    log = Lines()
    recorder = RoundRecorder(log, b"key")  # type: ignore[arg-type]  # keeps what it is told
    for envelope in seen[:3]:
        recorder(envelope)
    recorder.finish()
    recorder.finish()
    (_, summed), (kind, dropped) = log.told
    assert summed["aggregate"] is None
    assert kind is e.SiteDropped
    assert dropped["site"] == "bee"


def test_rounds_of_ten_sites_are_told_in_order() -> None:
    """Shares go to each site in a message of its own, and are one round; a root is opened later."""
    log, order = Lines(), EntryOrder()
    recorder = RoundRecorder(log, b"key")  # type: ignore[arg-type]  # keeps what it is told
    names = [f"s{i:02d}" for i in range(10)]
    rows = split(table(400), np.arange(400) % 10, names)
    train(InProcessTransport(programs(rows), recorder), manifest(names, n_estimators=3))
    recorder.finish()
    told = [content for kind, content in log.told if kind is e.RoundSummed]
    assert [one["kind"] for one in told].count("HoldShares") == 1
    for one in told:
        order._check_round(e.RoundSummed.model_construct(**one))
    roots = {one["tree"]: one["aggregate"] for one in told if one["kind"] == "StartTree"}
    assert roots[0] is not None
    assert (roots[1], roots[2]) == (None, None)
    held = next(one for one in told if one["kind"] == "HoldShares")
    assert len(held["received"]) == 10


def test_shares_of_many_sites_are_hashed_as_they_pass_and_let_go() -> None:
    """The entry is that of all bodies in a row, each once; no two of them are in memory."""
    sites, width = [f"s{i:02d}" for i in range(30)], 200_000
    slot = m.Slot(run="r", tree=1, level=0)
    log = Lines()
    recorder = RoundRecorder(log, b"key")  # type: ignore[arg-type]  # keeps what it is told
    expected = hmac.new(b"key", digestmod="sha256")

    def held(place: int) -> bytes:
        rows = np.full((1, width), place, dtype=np.uint8)
        return m.encode(m.HoldShares(slot=slot, absent=(), senders=(place,), envelopes=rows))

    tracemalloc.start()
    try:
        for place, site in enumerate(sites):
            recorder(Envelope(site, "to_site", held(place)))
        for silent in (3, 29):
            recorder(Envelope(sites[silent], "to_site", held(silent)))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for place in range(len(sites)):
        expected.update(held(place))
    for site in sites:
        recorder(Envelope(site, "from_site", m.encode(m.SharesHeld(slot=slot))))
    recorder.finish()
    ((_, told),) = log.told
    assert told["sent"] == expected.hexdigest()
    assert [one.site for one in told["received"]] == sites
    assert kept < 4 * width


def test_a_request_that_is_sent_again_is_told_once(small_federation: SmallFederation) -> None:
    """What a retry sends is equal, not the same object."""
    seen: list[Envelope] = []
    trained(small_federation, seen)
    request = seen[0].body
    log = Lines()
    recorder = RoundRecorder(log, b"key")  # type: ignore[arg-type]  # keeps what it is told
    for site in ("ant", "bee", "bee"):
        recorder(Envelope(site, "to_site", bytes(bytearray(request))))
    recorder.finish()
    assert log.told[0][1]["sent"] == hmac.digest(b"key", request, "sha256").hex()
    assert [kind for kind, _ in log.told].count(e.RoundSummed) == 1


def test_the_logs_own_clock_is_the_wall_clock(small_federation: SmallFederation) -> None:
    trained(small_federation)
    opened = verified(small_federation).opened
    assert opened.at > (NOW + timedelta(days=1)).strftime(TIME_FORMAT)
