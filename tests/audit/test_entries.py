"""What an entry may hold, and what it has no room for."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fed_audience.audit import entries as e
from fed_audience.audit.fields import ProcessingRecord, ReceivedMessage, SiteRows, band, canonical
from tests.audit.example import RECORD

FORBIDDEN = ("sum", "seed", "secret", "private", "mask", "email", "customer_id", "identifier")
PLACE: dict[str, Any] = {"sequence": 0, "at": "2026-10-01T00:00:00.000000Z", "checkpoint": 0}


def models() -> list[type[BaseModel]]:
    return [*get_args(e.AnyEntry), ProcessingRecord, SiteRows, ReceivedMessage]


def leaves(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Every scalar that a JSON schema lets in."""
    if "anyOf" in schema:
        return [leaf for part in schema["anyOf"] for leaf in leaves(part)]
    if schema.get("type") == "array":
        return leaves(schema["items"])
    if "$ref" in schema:
        return []
    return [schema]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_is_bounded_and_of_a_closed_form(model: type[BaseModel]) -> None:
    """No number without limits, no float, no free bytes; text has a pattern, a list or a length."""
    for name, schema in model.model_json_schema()["properties"].items():
        assert not any(word in name for word in FORBIDDEN), name
        for leaf in leaves(schema):
            kind = leaf.get("type")
            if kind == "integer":
                assert {"minimum", "maximum"} <= leaf.keys() or "const" in leaf, name
            elif kind == "string":
                assert leaf.keys() & {"pattern", "enum", "const", "maxLength"}, name
            else:
                assert kind in {"boolean", "null"}, name


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_no_entry_takes_a_field_that_it_does_not_know(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="unknown key 'raw_sums'"):
        model.model_validate({"raw_sums": [1, 2, 3]})


@given(st.integers(0, 10**9))
def test_a_count_of_people_is_told_as_a_band(count: int) -> None:
    told = band(count)
    if count < 100:
        assert told == "under 100"
        return
    low, _, high = told.replace(",", "").partition(" to ")
    low = low.removesuffix(" or more")
    assert int(low) <= count
    assert len(low) == len(str(count)) or count >= 10_000_000
    assert not high or count <= int(high)


@pytest.mark.parametrize("count", [3, 4_321, "4321"])
def test_an_exact_count_is_refused(count: object) -> None:
    with pytest.raises(ValidationError):
        SiteRows.model_validate({"site": "a", "used": count, "withdrawn": "under 100"})


@pytest.mark.parametrize(
    "text",
    [
        "ask anna@example.com",
        "call +49 171 1234567",
        "customer 20019283",
        "two\nlines",
        "x" * 301,
        "",
    ],
)
def test_text_that_may_name_a_person_by_address_or_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ProcessingRecord.model_validate(RECORD.model_dump() | {"purpose": text})


@pytest.mark.parametrize("text", ["Art. 6(1)(a) GDPR", "contract of 2026-01-31, signed by both"])
def test_a_ground_in_law_and_a_date_may_be_said(text: str) -> None:
    record = ProcessingRecord.model_validate(RECORD.model_dump() | {"legal_basis": text})
    assert record.legal_basis == text


def test_only_verifier_keys_stand_among_the_keys() -> None:
    with pytest.raises(ValidationError, match="coordinator_key"):
        e.LogOpened(
            **PLACE,
            origin="o",
            federation="f",
            coordinator_key="-----BEGIN PRIVATE KEY-----",
            site_keys=(),
            one_process=True,
            software="fed-audience 1",
            packages_sha256="0" * 64,
        )


@pytest.mark.parametrize(
    "entry",
    [
        e.ProcessingDeclared(
            **PLACE, record=RECORD.model_copy(update={"retention": "gelöscht nach zwölf Monaten"})
        ),
        e.RoundSummed(
            **PLACE,
            run="r",
            tree=-1,
            level=0,
            attempt=0,
            kind="OpenRun",
            cohort_sha256="0" * 64,
            sent="1" * 64,
            received=(ReceivedMessage(site="a", kind="RunOpened", digest="2" * 64),),
            aggregate=None,
        ),
    ],
    ids=["text beyond ASCII", "models in a tuple"],
)
def test_entries_are_written_as_json_writes_their_fields(entry: e.Entry) -> None:
    fields = entry.model_dump(mode="json")
    plain = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    assert e.encode_entry(entry) == plain.encode("ascii")
    assert e.decode_entry(plain.encode("ascii")) == entry


def test_what_is_neither_json_nor_a_model_has_no_canonical_form() -> None:
    with pytest.raises(TypeError, match="bytes has no canonical form"):
        canonical({"key": b"secret"})


def test_an_entry_has_one_spelling() -> None:
    entry = e.RunEnded(**PLACE, status="failed", error="FederationError")
    leaf = e.encode_entry(entry)
    assert leaf == (
        b'{"at":"2026-10-01T00:00:00.000000Z","checkpoint":0,"error":"FederationError",'
        b'"sequence":0,"status":"failed","type":"run_ended"}'
    )
    assert e.decode_entry(leaf) == entry
    for other in (leaf.replace(b":0,", b": 0,"), leaf.replace(b'"error"', b'"\\u0065rror"')):
        with pytest.raises(ValueError, match="canonical"):
            e.decode_entry(other)
    with pytest.raises(ValueError, match="type"):
        e.decode_entry(leaf.replace(b"run_ended", b"run_sold"))
