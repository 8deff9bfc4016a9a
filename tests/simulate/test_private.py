"""`simulate --epsilon`: noise in the federated model, its price, and a book that is charged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fed_audience.errors import BudgetError, ConfigError, UsageError
from fed_audience.federation import Envelope
from fed_audience.federation import messages as m
from fed_audience.privacy.budget import BudgetBook
from fed_audience.simulate.private import public_values
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings, parse_categories, parse_ranges
from tests.simulate.conftest import MakeSettings, customers

DECLARED: dict[str, Any] = {
    "public_ranges": (("spend", 0.0, 400.0), ("visits", 0.0, 20.0)),
    "public_categories": (("channel", ("email", "paid", "organic")),),
    "site_column": "brand",
}


@pytest.mark.parametrize("secure", [True, False])
def test_the_result_says_what_was_promised_and_what_it_was_spent_on(
    settings: MakeSettings, *, secure: bool
) -> None:
    seen: list[Envelope] = []
    asked = settings(epsilon=4, secure=secure, **DECLARED)
    outcome = simulate(asked, on_message=seen.append)
    privacy = outcome.privacy
    assert (privacy.epsilon, privacy.delta, privacy.colluders) == (4.0, 1e-6, 1)
    assert (privacy.unit, privacy.secure_sum) == ("one row at one site", secure)
    assert privacy.public_values == "declared"
    assert privacy.spent_on is not None
    assert sum(part["share"] for part in privacy.spent_on) == pytest.approx(1)
    assert privacy.mu == pytest.approx(sum(part["mu"] ** 2 for part in privacy.spent_on) ** 0.5)
    assert privacy.epsilon_against_colluders is not None
    assert list(privacy.epsilon_against_colluders) == ["0", "1", "2"]
    assert any("(4, 1e-06)-private" in words for words in privacy.sentences)
    assert outcome.model_sha256.federated != outcome.model_sha256.pooled
    assert outcome.auc is not None
    assert outcome.auc.federated is not None
    assert outcome.auc.federated > 0.6
    sent = {type(m.decode_reply(e.body)) for e in seen if e.direction == "from_site"}
    vectors = {kind for kind in sent if issubclass(kind, m.VectorReply)}
    assert vectors == {m.NoisyCounts, m.NoisySums}


def test_what_is_not_declared_is_read_off_the_table_and_said(settings: MakeSettings) -> None:
    asked = settings(epsilon=4, site_column="brand", public_ranges=(("visits", 0.0, 20.0),))
    problem = read_problem(asked)
    found, warnings = public_values(problem, asked)
    spend = customers()["spend"]
    by_name = {values.feature: values for values in found}
    assert (by_name["spend"].low, by_name["spend"].high) == (np.nanmin(spend), np.nanmax(spend))
    assert (by_name["visits"].low, by_name["visits"].high) == (0, 20)
    assert sorted(by_name["channel"].categories) == ["email", "organic", "paid"]
    assert len(warnings) == 1
    assert "spend, channel were read off this table" in warnings[0]
    outcome = simulate(asked)
    assert outcome.privacy.public_values == "read off the table"
    assert warnings[0] in outcome.warnings


def test_without_epsilon_nothing_is_said_of_it(settings: MakeSettings) -> None:
    asked = settings(site_column="brand")
    assert public_values(read_problem(asked), asked) == ((), [])
    assert simulate(asked).privacy.epsilon is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"public_ranges": (("shoe", 30.0, 50.0),)}, "no feature 'shoe'"),
        ({"public_ranges": (("channel", 0.0, 1.0),)}, "holds text"),
        ({"public_categories": (("spend", ("a",)),)}, "holds numbers"),
        ({"public_ranges": (("spend", 5.0, 1.0),)}, "the public range of feature spend is none"),
    ],
)
def test_public_values_of_what_is_no_such_feature_are_refused(
    settings: MakeSettings, changes: dict[str, Any], complaint: str
) -> None:
    asked = settings(epsilon=1, site_column="brand", **changes)
    with pytest.raises(UsageError, match=complaint):
        public_values(read_problem(asked), asked)


def test_a_delta_above_one_row_is_refused_by_name(settings: MakeSettings) -> None:
    with pytest.raises(ConfigError, match="delta is too large"):
        simulate(settings(epsilon=1, delta=0.01, **DECLARED))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"epsilon": 0.0}, "epsilon promises nothing"),
        ({"epsilon": 1.0, "delta": 1.0}, "delta promises nothing"),
        ({"epsilon": 1.0, "task": "demand"}, "does not go with --task"),
        ({"epsilon": 1.0, "compare": True}, "does not go with --compare"),
        ({"epsilon": 1.0, "explain": True}, "does not go with --explain"),
        ({"epsilon": 1.0, "weight": "w"}, "does not go with --weight"),
        ({"epsilon": 1.0, "group": "g"}, "does not go with --group"),
        ({"epsilon": 1.0, "options": (("lambda_l1", 1.0),)}, "does not go with --param"),
        ({"colluders": 1}, "--colluders belongs to --epsilon"),
        ({"public_ranges": (("a", 0.0, 1.0),)}, "--public-range belongs to --epsilon"),
        ({"public_categories": (("a", ("b",)),)}, "--public-categories belongs to --epsilon"),
        ({"budget_book": Path("b")}, "--budget-book belongs to --epsilon"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        SimulationSettings(Path("t.csv"), "y", **changes)


def test_ranges_and_categories_as_they_are_written() -> None:
    assert parse_ranges(["age=18:100", "a=b=-1.5:2"]) == (("age", 18, 100), ("a=b", -1.5, 2))
    assert parse_categories(["c= web | app "]) == (("c", ("web", "app")),)
    for text in ("age", "age=1", "age=a:b", "=1:2"):
        with pytest.raises(UsageError, match="is not COLUMN=LOW:HIGH"):
            parse_ranges([text])
    for text in ("c", "c=", "=a|b"):
        with pytest.raises(UsageError, match=r"is not COLUMN=A\|B\|C"):
            parse_categories([text])
    with pytest.raises(UsageError, match="twice"):
        parse_ranges(["a=1:2", "a=1:3"])
    with pytest.raises(UsageError, match="twice"):
        parse_categories(["a=b", "a=c"])


def test_a_named_book_is_charged_for_each_simulation_and_stops_one_too_many(
    settings: MakeSettings, tmp_path: Path
) -> None:
    book = BudgetBook(tmp_path / "book")
    asked = settings(epsilon=4, budget_book=book.path, **DECLARED)
    with pytest.raises(BudgetError, match="has not said how much"):
        simulate(asked)
    book.limit("customers.csv", 6.0, 1e-6)
    for runs in (1, 2):
        outcome = simulate(asked)
        charges = book.balance("customers.csv").charges
        assert len(charges) == runs
        assert charges[-1].mu == outcome.privacy.mu
    with pytest.raises(BudgetError, match="does not suffice"):
        simulate(asked)
