"""The inspection of a recording: sound runs pass, and each way of leaking is complained of."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from fed_audience.errors import DataError, UsageError
from fed_audience.federation import Envelope
from fed_audience.federation import messages as m
from fed_audience.federation.recording import Recording
from fed_audience.testing.inspection import inspect_recording, read_needles
from tests.federation.example import run, split, table

ROWS = table(600, seed=3)
CANARY = "canary.person@mail.example"


@pytest.fixture(scope="module")
def sent() -> list[Envelope]:
    seen: list[Envelope] = []
    owner = np.arange(ROWS.num_rows) % 3
    run(split(ROWS, owner, ["a", "b", "c"]), on_message=seen.append, n_estimators=3)
    return seen


def recorded(path: Path, messages: list[Envelope]) -> Path:
    with Recording(path) as recording:
        for message in messages:
            recording(message)
    return path


def complaint(path: Path, messages: list[Envelope]) -> tuple[int, str, str]:
    """Return number, site and reason of the only complaint."""
    found = inspect_recording(recorded(path, messages)).complaints
    assert len(found) == 1, found
    return found[0].message, found[0].site, found[0].why


def last(sent: list[Envelope], kind: type[m.Reply]) -> int:
    return max(
        number
        for number, one in enumerate(sent)
        if one.direction == "from_site" and isinstance(m.decode_reply(one.body), kind)
    )


def test_a_training_is_within_the_catalogue(sent: list[Envelope], tmp_path: Path) -> None:
    found = inspect_recording(recorded(tmp_path / "x", sent), [CANARY, 0.123456789])
    assert found.complaints == ()
    assert found.leaving() == (
        sum(one.direction == "from_site" for one in sent),
        sum(len(one.body) for one in sent if one.direction == "from_site"),
    )
    rows = {row.kind: row for row in found.kinds}
    assert rows["RunOpened"].sites == ("a", "b", "c")
    assert rows["RootHistogram"].messages == 9
    assert rows["RootHistogram"].reveals == m.RootHistogram.reveals
    assert rows["StartTree"].direction == "to_site"


def test_bytes_outside_the_catalogue_are_complained_of(
    sent: list[Envelope], tmp_path: Path
) -> None:
    at = last(sent, m.LevelHistogram)
    for body in (b"customer_id,email\n1,x@y.z\n", sent[at].body + b"\0" * 8, b""):
        changed = [*sent[:at], Envelope(sent[at].site, "from_site", body), *sent[at + 1 :]]
        number, site, why = complaint(tmp_path / "x", changed)
        assert (number, site) == (at + 1, sent[at].site)
        assert why.startswith("is no message that may go there")


def test_a_request_never_leaves_a_site_and_a_reply_never_enters_one(
    sent: list[Envelope], tmp_path: Path
) -> None:
    wrong = [Envelope(one.site, "from_site", one.body) for one in sent[:1]]
    assert complaint(tmp_path / "x", [*sent, *wrong])[0] == len(sent) + 1
    reply = sent[last(sent, m.RunOpened)]
    assert complaint(tmp_path / "y", [*sent, Envelope("a", "to_site", reply.body)])


def test_an_answer_that_nobody_asked_for_is_complained_of(
    sent: list[Envelope], tmp_path: Path
) -> None:
    early = sent[last(sent, m.LabelCounts)]
    assert complaint(tmp_path / "x", [*sent, early])[2] == (
        "answers a round that the site was not asked"
    )
    stranger = Envelope("stranger", "from_site", sent[-1].body)
    assert complaint(tmp_path / "y", [*sent, stranger])[1] == "stranger"


def test_a_site_that_sends_more_numbers_than_the_others_is_named(
    sent: list[Envelope], tmp_path: Path
) -> None:
    at = last(sent, m.LevelHistogram)
    reply = m.decode_reply(sent[at].body)
    assert isinstance(reply, m.LevelHistogram)
    longer = reply.model_copy(update={"words": np.append(reply.words, reply.words[:1])})
    changed = [*sent]
    changed[at] = Envelope(sent[at].site, "from_site", m.encode(longer))
    number, site, why = complaint(tmp_path / "x", changed)
    assert (number, site) == (at + 1, sent[at].site)
    assert f"has {len(reply.words) + 1:,} numbers where a sent {len(reply.words):,}" in why


def test_a_needle_is_found_and_not_shown(sent: list[Envelope], tmp_path: Path) -> None:
    leaked = Envelope("b", "from_site", sent[-1].body + gzip.compress(CANARY.encode()))
    found = inspect_recording(recorded(tmp_path / "x", [*sent, leaked]), ["other", CANARY])
    said = [one.why for one in found.complaints if "needle" in one.why]
    assert len(said) == 1
    assert "holds needle 2 as text" in said[0]
    assert "gzip" in said[0]
    assert CANARY not in str(found.complaints)


def test_an_empty_recording_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the recording is empty"):
        inspect_recording(recorded(tmp_path / "x", []))


def test_needles_are_lines_and_decimal_numbers_are_looked_for_as_such(tmp_path: Path) -> None:
    path = tmp_path / "needles.txt"
    path.write_text(f"{CANARY}\n\n1234.5678\n  20391182 \n{CANARY}\n")
    assert read_needles(path) == [CANARY, "1234.5678", "20391182", 1234.5678]
    path.write_text("\n\n")
    with pytest.raises(UsageError, match="no needle in the file"):
        read_needles(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_needles(tmp_path / "none")
