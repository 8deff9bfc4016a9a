"""Checkpoints have the form that transparency logs agreed on."""

from __future__ import annotations

import pytest

from fed_audience.audit import notes
from fed_audience.audit.keys import LOG_KEY, VerifierKey

EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4U\
RYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
"""The example of C2SP's tlog-checkpoint."""


def test_a_published_signature_is_verified() -> None:
    """The example of Go's reference implementation of signed notes."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = (
        b"If you think cryptography is the answer to your problem,\n"
        b"then you don't know what your problem is.\n"
    )
    line = (
        "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX"
        "gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    signature = notes.signature_in(line, key)
    assert key.verifies(text, signature)
    assert not key.verifies(text + b"x", signature)
    assert notes.signature_line(key, signature) == line


def test_a_note_is_parted_into_text_and_signatures() -> None:
    head, lines = notes.read_note(EXAMPLE)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert notes.note(head, lines) == EXAMPLE


def test_a_signature_by_another_key_of_the_name_is_unknown() -> None:
    head, lines = notes.read_note(EXAMPLE)
    with pytest.raises(notes.NoteError, match="unknown key"):
        notes.check_coordinator(
            head, lines[0], VerifierKey("example.com/behind-the-sofa", LOG_KEY, bytes(32))
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("20852163", "020852163"),
        ("20852163", "+20852163"),
        ("20852163", "many"),
        ("q2I=", "q2J="),
        ("q2I=", "q2I"),
        ("CsUY", "CsU"),
        ("\n\n", "\n"),
        ("YQ8=\n", "YQ8="),
        ("sofa\n2", "sofa\nextension\n2"),
    ],
)
def test_a_note_of_another_form_is_refused(old: str, new: str) -> None:
    with pytest.raises(notes.NoteError):
        notes.read_note(EXAMPLE.replace(old, new))
