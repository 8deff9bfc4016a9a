from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import BudgetError, ResourceError, UsageError
from fed_audience.privacy import chained_file
from fed_audience.privacy.budget import BudgetBook, Charge
from fed_audience.privacy.dp.accounting import delta_of, epsilon_of, mu_of

DELTA = 1e-6


def charge(mu: float = 0.1, run: str = "run 1", purpose: str = "trees") -> Charge:
    return Charge("fashion", run, purpose, mu, DELTA)


@pytest.fixture
def book(tmp_path: Path) -> BudgetBook:
    """A book in which fashion may spend epsilon 1 over all its runs."""
    book = BudgetBook(tmp_path / "state" / "budget.sqlite")
    book.limit("fashion", 1.0, DELTA)
    return book


def altered(book: BudgetBook, *statements: str) -> None:
    with closing(sqlite3.connect(book.path)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1
        connection.commit()


def test_a_new_book_allows_nothing(tmp_path: Path) -> None:
    book = BudgetBook(tmp_path / "budget.sqlite")
    assert book.balances() == ()
    assert book.head == ""
    assert not book.path.exists()
    with pytest.raises(BudgetError, match="has not said how much privacy"):
        book.charge(charge())
    assert book.balance("fashion").mu_left == 0.0


def test_charges_add_up_as_mu_squared_and_are_read_at_the_limits_delta(book: BudgetBook) -> None:
    book.charge(charge(0.06, "run 1"))
    book.charge(charge(0.08, "run 2"))
    found = BudgetBook(book.path).balance("fashion")
    assert found.mu == pytest.approx(0.1)
    assert found.epsilon == pytest.approx(epsilon_of(0.1, DELTA))
    assert found.mu_left**2 + found.mu**2 == pytest.approx(mu_of(1.0, DELTA) ** 2)
    assert found.epsilon_left == pytest.approx(epsilon_of(found.mu_left, DELTA))
    assert [one.run_id for one in found.charges] == ["run 1", "run 2"]


def test_the_last_bit_of_the_budget_may_be_spent_and_no_more(book: BudgetBook) -> None:
    book.charge(charge(0.6 * mu_of(1.0, DELTA), "run 1"))
    left = book.balance("fashion").mu_left
    with pytest.raises(BudgetError, match="does not suffice") as caught:
        book.charge(charge(left * (1 + 1e-6), "run 2"))
    assert "of which" in str(caught.value)
    assert len(book.balance("fashion").charges) == 1
    spent = book.charge(charge(left, "run 2"))
    assert spent.epsilon == pytest.approx(1.0)
    with pytest.raises(BudgetError):
        book.charge(charge(1e-3, "run 3"))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(1e-4, 0.2), min_size=2, max_size=6))
def test_no_run_of_charges_passes_the_limit(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[float]
) -> None:
    book = BudgetBook(tmp_path_factory.mktemp("book") / "budget.sqlite")
    book.limit("fashion", 1.0, DELTA)
    taken = 0.0
    for number, mu in enumerate(amounts):
        fits = taken + mu**2 <= mu_of(1.0, DELTA) ** 2
        try:
            book.charge(charge(mu, f"run {number}"))
        except BudgetError:
            assert not fits
        else:
            taken += mu**2
    assert delta_of(math.sqrt(taken), 1.0) <= DELTA * (1 + 1e-9)
    assert book.balance("fashion").mu == pytest.approx(math.sqrt(taken))


def test_a_run_that_is_sent_again_is_charged_once(book: BudgetBook) -> None:
    first = book.charge(charge())
    head = book.head
    assert book.charge(charge()) == first
    assert book.head == head
    with pytest.raises(BudgetError, match="another amount"):
        book.charge(charge(0.05))
    with pytest.raises(BudgetError, match="another amount"):
        book.charge(Charge("fashion", "run 1", "trees", 0.1, 1e-9))
    assert book.charge(charge(purpose="bins")).mu == pytest.approx(0.1 * math.sqrt(2))


def test_whether_a_charge_fits_can_be_asked_for_nothing(book: BudgetBook) -> None:
    head = book.head
    most = book.balance("fashion").mu_left
    assert book.check(charge(most)).mu_left == 0.0
    with pytest.raises(BudgetError, match="does not suffice"):
        book.check(charge(most * 1.001))
    assert (book.head, book.balance("fashion").charges) == (head, ())
    paid = book.charge(charge(most))
    assert book.check(charge(most)) == paid, "a resent run is already paid for"
    with pytest.raises(BudgetError, match="another amount"):
        book.check(charge(most / 2))


def test_a_limit_can_be_lowered_below_what_was_spent_and_nothing_comes_back(
    book: BudgetBook,
) -> None:
    book.charge(charge(0.1))
    lowered = book.limit("fashion", 0.1, DELTA)
    assert lowered.mu == pytest.approx(0.1)
    assert lowered.mu_left == 0.0
    assert lowered.epsilon_left == 0.0
    with pytest.raises(BudgetError):
        book.charge(charge(0.001, "run 2"))
    assert book.charge(charge(0.1)).mu == pytest.approx(0.1), "a resent run is already paid for"


def test_data_sets_have_budgets_of_their_own(book: BudgetBook) -> None:
    book.limit("grocery", 2.0, 1e-8)
    book.charge(charge())
    assert [one.data_set for one in book.balances()] == ["fashion", "grocery"]
    assert book.balance("grocery").mu == 0.0
    assert book.balance("grocery").mu_left == pytest.approx(mu_of(2.0, 1e-8))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, DELTA), (math.inf, DELTA), (1.0, 1.0)])
def test_a_limit_that_is_none_is_refused(book: BudgetBook, epsilon: float, delta: float) -> None:
    with pytest.raises(UsageError, match="no limit of privacy"):
        book.limit("fashion", epsilon, delta)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        (("", "run", "trees", 0.1, DELTA), "data_set"),
        (("fashion", "run\n1", "trees", 0.1, DELTA), "run_id"),
        (("fashion", "run", "x" * 201, 0.1, DELTA), "purpose"),
        (("fashion", "run", "trees", 0.0, DELTA), "mu"),
        (("fashion", "run", "trees", math.nan, DELTA), "mu"),
        (("fashion", "run", "trees", math.inf, DELTA), "mu"),
        (("fashion", "run", "trees", 0.1, 0.0), "delta"),
        (("fashion", "run", "trees", 0.1, 1.0), "delta"),
    ],
)
def test_what_cannot_be_a_charge_is_refused(
    fields: tuple[str, str, str, float, float], what: str
) -> None:
    with pytest.raises(UsageError, match=f"^{what} cannot stand"):
        Charge(*fields)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["update entries set body = replace(body, '0.1', '0.01') where number = 2"], "entry 2"),
        (["delete from entries where number = 2"], "entry 2"),
        (["delete from entries where number = 3"], "taken from its end"),
        (["delete from entries where number = 3", "update head set number = 2"], "from its end"),
        (["insert into entries values (4, '{}', '')"], "entry 4"),
        (["delete from head"], "taken from its end"),
    ],
)
def test_a_tampered_book_is_refused(book: BudgetBook, statements: list[str], words: str) -> None:
    book.charge(charge(run="run 1"))
    book.charge(charge(run="run 2"))
    altered(book, *statements)
    for attempt in (book.balances, lambda: book.charge(charge(0.01, "run 3"))):
        with pytest.raises(BudgetError, match=f"not to be believed: .*{words}"):
            attempt()


@pytest.mark.parametrize("body", ["not json", "[1]", '{"charge": {"mu": 0.1}}', '{"gift": {}}'])
def test_an_entry_of_another_form_is_refused_though_its_hashes_fit(
    book: BudgetBook, body: str
) -> None:
    link = chained_file._link(book.head, body)
    altered(
        book,
        f"insert into entries values (2, '{body}', '{link}')",
        f"update head set number = 2, chain = '{link}'",
    )
    with pytest.raises(BudgetError, match="not to be believed: an entry"):
        book.balances()


@pytest.mark.parametrize("kept", [0, 10, 100, 4096, 8192])
def test_a_truncated_book_is_refused(book: BudgetBook, kept: int) -> None:
    for number in range(25):
        book.charge(charge(1e-3, f"run {number} {'x' * 180}"))
    assert book.path.stat().st_size > 8192
    os.truncate(book.path, kept)
    with pytest.raises(BudgetError, match="not to be believed"):
        book.balances()
    with pytest.raises(BudgetError, match="not to be believed"):
        book.limit("fashion", 5.0, DELTA)


def test_a_file_that_is_no_book_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("spent: nothing\n" * 100)
    with pytest.raises(BudgetError, match="file is not a database"):
        BudgetBook(text).balances()
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table entries (number, body, chain)")
    with pytest.raises(BudgetError, match="a database of something else"):
        BudgetBook(other).limit("fashion", 1.0, DELTA)


def test_a_book_of_a_later_version_is_refused(book: BudgetBook) -> None:
    with closing(sqlite3.connect(book.path)) as connection:
        connection.execute("pragma user_version = 2")
    with pytest.raises(BudgetError, match="of version 2, this program reads 1"):
        book.balances()


def test_only_its_owner_reads_a_book(book: BudgetBook) -> None:
    assert book.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in book.path.parent.iterdir()] == ["budget.sqlite"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="nothing is released") as caught:
        BudgetBook(tmp_path / "file" / "budget.sqlite").limit("fashion", 1.0, DELTA)
    assert "file" in str(caught.value)


def test_a_book_that_another_process_holds_is_waited_for_and_then_refused(
    book: BudgetBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chained_file, "WAIT_SECONDS", 0.05)
    with closing(sqlite3.connect(book.path, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        with pytest.raises(ResourceError, match="another process holds"):
            book.charge(charge())
    assert book.charge(charge()).mu == pytest.approx(0.1)


def test_an_error_inside_a_charge_leaves_the_book_as_it_was(
    book: BudgetBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = book.head

    def out_of_order(self: object, document: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(chained_file._Writing, "append", out_of_order)
        with pytest.raises(RuntimeError):
            book.charge(charge())
    assert book.head == head
    assert book.charge(charge()).mu == pytest.approx(0.1)


RACER = """
import sys, time
from pathlib import Path
from fed_audience.errors import BudgetError
from fed_audience.privacy.budget import BudgetBook, Charge

book, name, start = BudgetBook(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
time.sleep(max(0.0, start - time.time()))
for number in range(100):
    try:
        book.charge(Charge("fashion", f"{name} {number}", "trees", 0.05, 1e-6))
    except BudgetError:
        break
    print(number, flush=True)
"""


def started(book: BudgetBook, name: str, start: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(book.path), name, str(start)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_race_spend_no_more_than_the_limit(book: BudgetBook) -> None:
    allowed = int((mu_of(1.0, DELTA) / 0.05) ** 2)
    racers = [started(book, name, time.time() + 1.5) for name in ("one", "two")]
    taken = [len(racer.communicate(timeout=60)[0].splitlines()) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sum(taken) == allowed == len(book.balance("fashion").charges)


def test_what_a_killed_process_was_told_is_charged(book: BudgetBook) -> None:
    racer = started(book, "one")
    assert racer.stdout is not None
    told = [racer.stdout.readline() for _ in range(3)]
    racer.send_signal(signal.SIGKILL)
    told += racer.stdout.read().splitlines()
    racer.stdout.close()
    racer.wait(timeout=30)
    charges = {one.run_id for one in book.balance("fashion").charges}
    assert len(told) >= 3
    assert {f"one {number}" for number in range(len(told))} <= charges
    assert len(charges) - len(told) in (0, 1)


def test_a_book_that_another_process_made_meanwhile_is_taken(book: BudgetBook) -> None:
    head = book.head
    book._file._make()
    assert book.head == head
    assert [path.name for path in book.path.parent.iterdir()] == ["budget.sqlite"]
