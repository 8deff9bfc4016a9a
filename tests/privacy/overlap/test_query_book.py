from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from fed_audience.errors import BudgetError
from fed_audience.privacy.overlap.query_book import Query, QueryBook
from fed_audience.privacy.overlap.refusals import OverlapError

OCTOBER, NOVEMBER = datetime(2026, 10, 31), datetime(2026, 11, 1)  # noqa: DTZ001 - naive UTC


def query(number: int, partner: str = "grocery") -> Query:
    return Query("fashion", partner, f"{number:032x}", "asked" if number % 2 else "answered")


@pytest.fixture
def book(tmp_path: Path) -> QueryBook:
    return QueryBook(tmp_path / "overlap" / "queries.sqlite")


def test_a_pair_has_so_many_queries_a_month_in_both_directions(book: QueryBook) -> None:
    assert [book.spend(query(number), OCTOBER, 3) for number in range(3)] == [1, 2, 3]
    with pytest.raises(BudgetError, match="no query with grocery left this month; nothing was"):
        book.spend(query(3), OCTOBER, 3)
    with pytest.raises(BudgetError):
        book.require_room(query(3), OCTOBER, 3)
    assert book.spend(query(4, "travel"), OCTOBER, 3) == 1
    assert book.used("fashion", "grocery", OCTOBER) == 3
    assert book.spend(query(3), NOVEMBER, 3) == 1


def test_a_clock_that_is_set_back_brings_no_month_back(book: QueryBook) -> None:
    book.spend(query(0), NOVEMBER, 1)
    with pytest.raises(BudgetError, match="2026-11"):
        book.spend(query(1), OCTOBER, 1)


def test_a_query_is_asked_once(book: QueryBook) -> None:
    book.spend(query(0), OCTOBER, 3)
    for again in (book.spend, book.require_room):
        with pytest.raises(OverlapError) as caught:
            again(query(0), NOVEMBER, 3)
        assert caught.value.reason == "replayed"
    partners_own = Query("grocery", "fashion", query(0).query, "answered")
    assert book.spend(partners_own, OCTOBER, 3) == 1


def test_looking_for_room_enters_nothing(book: QueryBook) -> None:
    book.require_room(query(0), OCTOBER, 1)
    book.require_room(query(0), OCTOBER, 1)
    assert book.spend(query(0), OCTOBER, 1) == 1


def test_a_book_that_was_cut_short_is_refused(book: QueryBook, tmp_path: Path) -> None:
    book.spend(query(0), OCTOBER, 3)
    (tmp_path / "overlap" / "queries.sqlite").write_bytes(b"")
    with pytest.raises(BudgetError, match="the book of overlap queries is not to be believed"):
        book.spend(query(1), OCTOBER, 3)


def test_the_budget_book_is_no_query_book(tmp_path: Path) -> None:
    from fed_audience.privacy.budget import BudgetBook  # noqa: PLC0415 - only for this mistake

    path = tmp_path / "budget.sqlite"
    BudgetBook(path).limit("fashion", 1.0, 1e-6)
    with pytest.raises(BudgetError, match="an entry has other fields"):
        QueryBook(path).used("fashion", "grocery", OCTOBER)


RACER = """
import sys, time
from datetime import datetime
from pathlib import Path
from fed_audience.errors import BudgetError
from fed_audience.privacy.overlap.query_book import Query, QueryBook

book, name, start = QueryBook(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
time.sleep(max(0.0, start - time.time()))
for number in range(20):
    try:
        book.spend(Query("a", "b", f"{name}{number}", "asked"), datetime(2026, 10, 1), 7)
    except BudgetError:
        break
    print(number)
"""


def test_two_processes_that_race_spend_no_more_than_the_month_has(tmp_path: Path) -> None:
    path, start = tmp_path / "queries.sqlite", str(time.time() + 1.0)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), name, start],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    told = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sum(map(len, told)) == 7
