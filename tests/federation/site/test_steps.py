"""Answers in steps: who is begun when, and what an error leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fed_audience.federation.site.steps import side_by_side, to_the_end

if TYPE_CHECKING:
    from fed_audience.federation.site.steps import Steps


def answer(name: str, seen: list[str], *, yields: int = 1, breaks: bool = False) -> Steps[str]:
    seen.append(f"{name} begins")
    try:
        for _ in range(yields):
            yield
        if breaks:
            raise ValueError(name)
        seen.append(f"{name} ends")
        return name
    finally:
        seen.append(f"{name} closed")


@pytest.mark.parametrize("yields", [0, 1, 3])
def test_an_answer_is_the_same_in_any_number_of_steps(yields: int) -> None:
    assert to_the_end(answer("a", [], yields=yields)) == "a"
    many = (answer(name, [], yields=yields) for name in "abc")
    assert list(side_by_side(many)) == ["a", "b", "c"]
    assert list(side_by_side(iter(()))) == []


def test_the_next_one_has_begun_before_one_ends_and_no_more_are_open() -> None:
    seen: list[str] = []
    list(side_by_side(answer(name, seen) for name in "abc"))
    assert [one for one in seen if "closed" not in one] == [
        *("a begins", "b begins", "a ends", "c begins", "b ends", "c ends")
    ]


def test_an_error_closes_whoever_has_begun_and_begins_nobody_else() -> None:
    seen: list[str] = []
    many = (answer(name, seen, breaks=name == "a") for name in "abc")
    with pytest.raises(ValueError, match="a"):
        list(side_by_side(many))
    assert seen == ["a begins", "b begins", "a closed", "b closed"]
