from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audiences.eligibility import FunnelStep, decide, plausible_identifier
from fed_audience.errors import DataError

GOOD = {
    "score": 0.5,
    "consent_activate_email": True,
    "is_suppressed": False,
    "in_holdout": False,
    "email": "ada@example.org",
    "phone": None,
}


def candidates(*changes: dict[str, object]) -> pa.Table:
    rows = [{"customer_id": f"c{n}", **GOOD, **change} for n, change in enumerate(changes)]
    columns: dict[str, pa.DataType] = {
        "customer_id": pa.string(),
        "score": pa.float64(),
        "consent_activate_email": pa.bool_(),
        "is_suppressed": pa.bool_(),
        "in_holdout": pa.bool_(),
        "email": pa.string(),
        "phone": pa.string(),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def reachable(table: pa.Table, *identifiers: str) -> list[bool]:
    decided = decide(
        table,
        consent_column="consent_activate_email",
        identifiers=identifiers or ("email",),
    )
    return [bool(flag) for flag in decided.eligible]


def test_each_step_counts_what_it_takes_out_in_order() -> None:
    table = candidates(
        {},
        {"score": None},
        {"consent_activate_email": False},
        {"is_suppressed": True},
        {"in_holdout": True},
        {"email": None},
        {"score": None, "email": None, "consent_activate_email": False},
        {"consent_activate_email": False, "is_suppressed": True},
    )
    decided = decide(table, consent_column="consent_activate_email")
    assert decided.steps == (
        FunnelStep("customers", 8, 0),
        FunnelStep("scored", 6, 2),
        FunnelStep("consent", 4, 2),
        FunnelStep("not suppressed", 3, 1),
        FunnelStep("not held out", 2, 1),
        FunnelStep("usable identifier", 1, 1),
    )
    assert decided.count == 1
    assert decided.lost_at("usable identifier") == 1
    assert list(decided.eligible) == [True] + [False] * 7


@pytest.mark.parametrize(
    "unknown",
    ["score", "consent_activate_email", "is_suppressed", "in_holdout", "email"],
)
def test_what_is_unknown_counts_against_reaching(unknown: str) -> None:
    assert reachable(candidates({}, {unknown: None})) == [True, False]


def test_a_score_that_is_not_a_number_is_no_score() -> None:
    assert reachable(candidates({"score": float("nan")}, {"score": float("inf")})) == [False, False]


@pytest.mark.parametrize(
    ("email", "usable"),
    [
        ("ada@example.org", True),
        ("  Ada@Example.ORG ", True),
        ("ada+tag@mail.example.org", True),
        ("", False),
        ("ada", False),
        ("ada@example", False),
        ("ada@@example.org", False),
        ("ada@example.", False),
        ("a da@example.org", False),
    ],
)
def test_an_email_needs_its_shape(email: str, usable: bool) -> None:  # noqa: FBT001 - parametrized
    assert reachable(candidates({"email": email})) == [usable]


@pytest.mark.parametrize(
    ("phone", "usable"),
    [("+44 20 7946 0958", True), ("(020) 7946-0958", True), ("12345", False), ("n/a", False)],
)
def test_a_phone_needs_seven_to_fifteen_digits(phone: str, usable: bool) -> None:  # noqa: FBT001 - parametrized
    assert reachable(candidates({"email": None, "phone": phone}), "email", "phone") == [usable]


def test_the_destinations_own_verdict_replaces_the_plausible_shape() -> None:
    table = candidates({}, {"email": None}).drop_columns(["phone"])
    decided = decide(
        table,
        consent_column="consent_activate_email",
        identifiers=("crm_id",),
        usable_identifier=np.array([False, True]),
    )
    assert list(decided.eligible) == [False, True]


def test_nobody_to_decide_about_is_fine() -> None:
    assert decide(candidates(), consent_column="consent_activate_email").count == 0


def test_a_missing_column_is_named_with_those_found() -> None:
    with pytest.raises(DataError, match="consent_activate_ads; looked in: columns customer_id"):
        decide(candidates({}), consent_column="consent_activate_ads")


def test_a_customer_listed_twice_is_refused() -> None:
    table = pa.concat_tables([candidates({}), candidates({})])
    with pytest.raises(DataError, match="2 rows, 1 customers"):
        decide(table, consent_column="consent_activate_email")


def test_a_candidate_without_id_is_refused() -> None:
    table = candidates({}).set_column(0, "customer_id", pa.array([None], pa.string()))
    with pytest.raises(DataError, match="no customer id"):
        decide(table, consent_column="consent_activate_email")


def test_an_identifier_of_unknown_shape_is_refused() -> None:
    table = candidates({}).append_column("crm_id", pa.array(["x"]))
    with pytest.raises(DataError, match="value: crm_id; allowed: email, phone"):
        plausible_identifier(table, ["crm_id"])


flags = st.sampled_from([True, False, None])
people = st.lists(
    st.fixed_dictionaries(
        {
            "score": st.sampled_from([0.3, None]),
            "consent_activate_email": flags,
            "is_suppressed": flags,
            "in_holdout": flags,
            "email": st.sampled_from(["a@b.org", None, "nobody"]),
        }
    ),
    max_size=30,
)


@given(people)
def test_nobody_without_every_yes_is_ever_eligible(changes: list[dict[str, object]]) -> None:
    expected = [
        change["score"] is not None
        and change["consent_activate_email"] is True
        and change["is_suppressed"] is False
        and change["in_holdout"] is False
        and change["email"] == "a@b.org"
        for change in changes
    ]
    decided = decide(candidates(*changes), consent_column="consent_activate_email")
    assert [bool(flag) for flag in decided.eligible] == expected
    assert sum(step.lost for step in decided.steps) == len(changes) - sum(expected)
