"""The file of all messages: what went in comes out, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError, ResourceError
from fed_audience.federation import Envelope
from fed_audience.federation.recording import Recording, read_recording

envelopes = st.lists(
    st.builds(
        Envelope,
        st.text("abcä", min_size=1, max_size=5),
        st.sampled_from(["to_site", "from_site"]),
        st.binary(max_size=40),
    ),
    max_size=8,
)
SOME = [Envelope("fashion", "to_site", b"question"), Envelope("fashion", "from_site", b"answer")]


def written(path: Path, messages: list[Envelope]) -> Path:
    with Recording(path) as recording:
        for message in messages:
            recording(message)
    return path


@given(messages=envelopes)
def test_every_byte_comes_back(
    messages: list[Envelope], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("recording") / "x.egress", messages)
    assert list(read_recording(path)) == messages


def test_what_was_sent_before_an_error_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.egress"
    recording = Recording(path)
    recording(SOME[0])
    assert not path.exists()
    recording.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert list(read_recording(path)) == SOME[:1]
    assert [file.name for file in tmp_path.iterdir()] == ["x.egress"]


def test_a_recording_that_is_cut_short_says_where(tmp_path: Path) -> None:
    path = written(tmp_path / "x.egress", SOME)
    whole = path.read_bytes()
    second = whole.rindex(b"\x01\x07\x00")
    for end in range(second + 1, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=f"begins at byte {second}"):
            list(read_recording(path))
    path.write_bytes(whole[:second] + b"\x02" + whole[second + 1 :])
    with pytest.raises(DataError, match=f"begins at byte {second}"):
        list(read_recording(path))


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.egress"
    with pytest.raises(DataError, match="cannot be read"):
        list(read_recording(path))
    for body in (b"", b"FAU", b"FAUE\x02", b"site,bytes\n"):
        path.write_bytes(body)
        with pytest.raises(DataError, match="no recording"):
            list(read_recording(path))


def test_a_recording_needs_a_place(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"nowhere/x\.egress"):
        Recording(tmp_path / "nowhere" / "x.egress")
