"""What a project declares is read from the manifest that dbt wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience.errors import DbtError
from fed_audience.warehouse.declared_uses import ScoreTable, read_declared_uses
from tests.warehouse.project_manifest import EXPOSURE, SCORES, manifest, write_manifest


def test_trainings_exposures_and_score_tables_are_found(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    uses = read_declared_uses(tmp_path)
    (training,) = uses.trainings
    assert training.spec.model == "repurchase"
    assert training.said == {"model", "task", "purpose", "partners"}
    assert training.file == "models/_training.yml"
    assert training.columns[:2] == (("f_spend", "Money spent."), ("f_visits", "Visits."))
    (exposure,) = uses.exposures
    assert (exposure.owner, exposure.reads) == ("CRM team", ("best_customers",))
    assert exposure.description == "Mail to the likeliest."
    assert (exposure.model, exposure.purpose) == ("repurchase", "activate:email")
    assert (exposure.legal_basis, exposure.destination) == ("consent", "files")
    assert uses.score_tables == (
        ScoreTable("best_customers", "models/best_customers.sql", exposed=True),
        ScoreTable("fct_scores", "models/marts/fct_scores.sql", exposed=True),
    )


def test_a_table_that_no_exposure_reads_is_not_exposed(tmp_path: Path) -> None:
    document = manifest()
    document["child_map"] = {SCORES: ["model.brand.best_customers", EXPOSURE]}
    write_manifest(tmp_path, document)
    exposed = {one.name: one.exposed for one in read_declared_uses(tmp_path).score_tables}
    assert exposed == {"best_customers": False, "fct_scores": True}


def test_models_that_read_each_other_end(tmp_path: Path) -> None:
    document = manifest()
    document["child_map"] = {SCORES: ["model.brand.best_customers"]}
    document["child_map"]["model.brand.best_customers"] = [SCORES]
    write_manifest(tmp_path, document)
    assert not any(one.exposed for one in read_declared_uses(tmp_path).score_tables)


def test_an_exposure_that_says_nothing_of_itself_is_read_all_the_same(tmp_path: Path) -> None:
    document = manifest()
    document["exposures"] = {EXPOSURE: {"name": "crm", "config": {"meta": {"fed_audience": 3}}}}
    write_manifest(tmp_path, document)
    (exposure,) = read_declared_uses(tmp_path).exposures
    assert (exposure.owner, exposure.model, exposure.legal_basis) == ("", "", "")


def test_a_project_that_was_not_parsed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DbtError, match="dbt has not parsed this project yet"):
        read_declared_uses(tmp_path)
