"""A tool's words are kept, the person in them is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fed_audience.activation.scrubbing import scrubbed


def test_personal_data_is_withheld_and_the_sentence_stays() -> None:
    said = "Bad row: Ada@Example.com,\n+44 20 7946 0958, id C-17, hash " + "ab" * 32
    assert scrubbed(said, ["c-17"]) == (
        "Bad row: (withheld) (withheld), id (withheld), hash (withheld)"
    )


def test_codes_and_small_numbers_stay() -> None:
    assert (
        scrubbed("error 1713230? no: line 17, code 4001")
        == "error (withheld)? no: line 17, code 4001"
    )


def test_a_long_answer_is_cut() -> None:
    assert len(scrubbed("x y " * 500)) == 200


@given(st.text(), st.text(alphabet="abcXYZ019", min_size=6, max_size=12))
def test_a_given_value_never_survives(text: str, value: str) -> None:
    assert value not in scrubbed(f"{text}{value}{text}", [value])
