"""`fed-audience consent`: where consent comes from, what a flag lacks, what a string says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fed_audience import cli
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, SmallFederation

Show = Callable[..., str]
VECTORS = json.loads(
    (Path(__file__).parents[1] / "consent" / "vectors" / "vectors.json").read_text()
)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as left:
            cli.main(["consent", *map(str, arguments)])
        assert left.value.code in {0, None}
        return capsys.readouterr().out

    return call


@pytest.fixture
def ant(small_federation: SmallFederation) -> SmallFederation:
    """A brand whose mapping reads one flag of two."""
    small_federation.execute("ant", "alter table int_consent_ledger add source_system varchar")
    small_federation.execute("ant", "update int_consent_ledger set source_system = 'crm'")
    small_federation.execute(
        "ant",
        "create table consent_mapping as select 'cmp' as source_system, 'tcf_purpose_4' as"
        " source_flag, '*' as policy_version, 'activate:ads' as purpose, 'consent' as legal_basis,"
        " 'Ada' as approver, date '2026-05-01' as approved_on",
    )
    small_federation.execute(
        "ant",
        "create table int_consent_unmapped as select 'cmp' as source_system, 'tcf_purpose_9' as"
        " source_flag, '5' as policy_version, 1234::bigint as events",
    )
    return small_federation


def test_coverage_shows_sources_losses_and_flags_without_meaning(
    ant: SmallFederation, show: Show
) -> None:
    said = show("coverage", "--project", ant.folder / "ant", "--as-of", AS_OF)
    lines = [line.split() for line in said.replace("│", " ").splitlines()]
    assert ["train", "crm", "consent", "295"] in lines
    assert ["profile", "crm", "consent", "300"] in lines
    assert ["train", "no_event", "5"] in lines
    assert "1,234 grants of cmp by tcf_purpose_9 (policy version 5) consent to nothing" in said


def test_check_names_the_mapping_that_is_missing(
    ant: SmallFederation, fail: Fail, show: Show
) -> None:
    code, said = fail("consent", "check", "--project", ant.folder / "ant")
    assert code == 5
    assert "a flag of cmp has no approved mapping; value: tcf_purpose_9" in said
    ant.execute("ant", "delete from int_consent_unmapped")
    said = show("check", "--project", ant.folder / "ant")
    assert "rows of the mapping: 1" in said


def test_a_brand_that_was_not_built_again_is_told_so(
    small_federation: SmallFederation, fail: Fail
) -> None:
    code, said = fail("consent", "check", "--project", small_federation.folder / "ant")
    assert code == 6
    assert "consent_mapping" in said
    assert "dbt build" in said


def test_decode_shows_what_is_granted_and_why_the_rest_is_not(show: Show) -> None:
    said = show("decode", "tcf", VECTORS["tcf"][-1]["text"], "--vendor", 755)
    assert "policy version: 5" in said
    lines = [line.split() for line in said.replace("│", " ").splitlines()]
    assert ["tcf_purpose_1", "yes"] in lines
    said = show("decode", "tcf", VECTORS["tcf"][-1]["text"], "--vendor", 13)
    assert "vendor 13 was not disclosed to the person" in said
    said = show("decode", "gpp", "nonsense", "--vendor", 755)
    assert "policy version: unknown" in said
    assert "yes" not in said


def test_decode_knows_two_kinds_of_strings(fail: Fail) -> None:
    code, said = fail("consent", "decode", "usp", "1YNN", "--vendor", 755)
    assert (code, "value: usp; allowed: tcf, gpp" in said) == (2, True)
