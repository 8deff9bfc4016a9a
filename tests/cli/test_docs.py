"""`fed-audience docs` and its check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fed_audience import cli
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, BRANDS, SmallFederation
from tests.warehouse.project_manifest import EXPOSURE, SCORES, TRAINING, manifest, write_manifest

RECORDED = """\
| ant | no contract | bee |
| repurchase | propensity | bee | fed_training_repurchase | ant, bee | train and share_model
| each build | Who buys \\| again. |
| f_spend | Money spent. | repurchase | ant, bee |
| f_channel | - | repurchase | ant, bee |
| ant | train | - | consent | 100 to 999 |
| bee | 2026-06-01 00:00 | repurchase | succeeded | {run} | ant | 100 to 999 | under 100 |
| top | repurchase | activate:email | 20% | files | ant, bee |
| ant | crm | CRM team | best_customers | repurchase | activate:email | consent | files | Mail to
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(one) for one in arguments])
    shown = capsys.readouterr()
    assert left.value.code == 0, shown.err
    return shown.out, shown.err


def declare(federation: SmallFederation, document: dict[str, Any], brand: str = "bee") -> None:
    """Every brand declares all its uses, ``brand`` what ``document`` says."""
    for one in BRANDS:
        write_manifest(federation.folder / one, document if one == brand else manifest())


def test_the_record_says_who_what_why_and_where(
    trained: SmallFederation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declare(trained, manifest())
    trained.execute("ant", "alter table int_consent_ledger add column source_system varchar")
    trained.execute("bee", "alter table int_consent_ledger add column source_system varchar")
    at = ("--config", trained.config)
    out, err = said(capsys, "docs", "--out", tmp_path / "record", "--as-of", AS_OF, *at)
    assert out.split() == [str(tmp_path / "record" / f"governance.{one}") for one in ("md", "html")]
    assert err == ""
    told = (tmp_path / "record" / "governance.md").read_text()
    run = trained.value("ant", "select run_id from fed_audience.training_runs")
    for line in RECORDED.format(run=run).splitlines():
        assert line in told, line
    assert "_fed_build_id" not in told
    assert "ant007" not in told
    page = (tmp_path / "record" / "governance.html").read_text()
    assert "<td>Money spent.</td>" in page
    assert str(run) in page


def test_everything_that_is_declared_passes(
    small_federation: SmallFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(small_federation, manifest())
    out, _ = said(capsys, "docs", "--check", "--config", small_federation.config)
    assert out == "2 training models and 4 score tables: all uses are declared\n"


def _without_partners(document: dict[str, Any]) -> None:
    del document["nodes"][TRAINING]["config"]["meta"]["fed_audience"]["partners"]


def _without_purpose(document: dict[str, Any]) -> None:
    del document["nodes"][TRAINING]["config"]["meta"]["fed_audience"]["purpose"]


def _without_reader(document: dict[str, Any]) -> None:
    document["child_map"] = {SCORES: ["model.brand.best_customers", EXPOSURE]}


def _without_exposure(document: dict[str, Any]) -> None:
    document["exposures"][EXPOSURE]["config"]["meta"]["fed_audience"]["purpose"] = "profile"


def _without_basis(document: dict[str, Any]) -> None:
    del document["exposures"][EXPOSURE]["config"]["meta"]["fed_audience"]["legal_basis"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_partners, "training model fed_training_repurchase declares no partners; add"),
        (_without_purpose, "declares no purpose; add purpose: train to its config.meta"),
        (_without_reader, "score table best_customers has no exposure; add one"),
        (_without_exposure, "no exposure says how audience top is used; add one with"),
        (_without_basis, "exposure crm names no legal basis; add legal_basis: consent"),
    ],
)
def test_what_is_not_declared_fails_and_is_named(
    small_federation: SmallFederation, fail: Fail, change: Any, words: str
) -> None:
    document = manifest()
    change(document)
    declare(small_federation, document)
    code, why = fail("docs", "--check", "--config", small_federation.config)
    assert code == 3
    assert f"bee: {words}" in why or words in why, why
    assert "; and " not in why


def test_the_record_is_written_with_a_warning_where_something_is_undeclared(
    trained: SmallFederation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = manifest()
    _without_partners(document)
    declare(trained, document)
    for brand in BRANDS:
        trained.execute(brand, "drop table int_consent_ledger")
    _, err = said(capsys, "docs", "--out", tmp_path, "--config", trained.config)
    assert err == "1 uses are not declared: fed-audience docs --check\n"


def test_a_project_that_dbt_has_not_parsed_is_an_error(
    small_federation: SmallFederation, fail: Fail
) -> None:
    code, why = fail("docs", "--check", "--config", small_federation.config)
    assert (code, "run `dbt parse`" in why) == (7, True), why
