"""Kinds of training that need more than rounds, over real gRPC: as in one process, to the byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fed_audience.federation.messages import members as mm
from fed_audience.jobs.coordinator_program import CoordinatorProgram
from fed_audience.jobs.members import Members
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.train import TrainedModel, train_model
from fed_audience.privacy.budget import BudgetBook
from tests.federation.grpc.network import Federation
from tests.federation.private.example import no_noise
from tests.jobs.small_federation import NOW
from tests.jobs.three_organisations import KEY, SITES, Organisations

PRIVACY = {"epsilon": 2.0, "delta": 1e-4}
PUBLIC = {
    "f_spend": {"low": 0, "high": 300},
    "f_visits": {"low": 0, "high": 20},
}


@contextmanager
def over_grpc(organisations: Organisations) -> Iterator[CoordinatorProgram]:
    """A coordinator that reaches the desks over loopback, mutual TLS and their own identities."""
    network = Federation(organisations.folder / "network")
    for site in SITES:
        network.enrol(site)
        identity = Members(organisations.settings(site)).identity(site)
        network.identities[site] = identity
        network.members[site] = type(network.members[site])(identity.public_key)
    settings = organisations.operator
    assert settings.coordinator is not None
    with ExitStack() as stack:
        transport = stack.enter_context(network.transport())
        for site in SITES:
            desk = organisations.desks[site]
            link = network.link(transport.address, site, desk.handle)
            for asked in mm.ASKED:
                link.on(asked.kind, partial(desk.answer, asked.kind))
            stack.enter_context(link)
        assert transport.wait_for(SITES, 60) == []
        yield CoordinatorProgram(
            settings, settings.coordinator, transport, lambda: organisations.now
        )


def change(organisations: Organisations, who: str, **changes: Any) -> dict[str, Any]:
    """Merge ``changes`` into a federation.yml; those of ``model`` into the operator's model."""
    path = organisations.folder / who / "federation.yml"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    document["models"][0].update(changes.pop("model", {})) if "models" in document else None
    for key, value in changes.items():
        document[key] = document.get(key, {}) | value
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return document


def in_one_process(organisations: Organisations, **model: Any) -> TrainedModel:
    """Train on a copy of the brands' warehouses, as one operator of all three would."""
    folder = organisations.folder / "together"
    for site in SITES:
        shutil.copytree(organisations.folder / site / "project", folder / site)
    document = yaml.safe_load((organisations.folder / "operator" / "federation.yml").read_text())
    declared = document["models"][0]
    declared.pop("terms")
    (folder / "federation.yml").write_text(
        yaml.safe_dump(
            {
                "name": "together",
                "minimum_rows": 50,
                "sites": [{"name": site, "project": site} for site in SITES],
                "models": [declared | model],
                "public_values": document.get("public_values", {})
                | {"f_channel": {"categories": ["email", "paid"]}},
            }
        )
    )
    settings = load_federation(folder / "federation.yml")
    if "privacy" in declared:
        limit(settings.budget_book, SITES)
    return train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)


def limit(book: Path, sites: tuple[str, ...]) -> None:
    for site in sites:
        BudgetBook(book).limit(site, 3.2, 1e-4)


def held(organisations: Organisations, site: str) -> object:
    return organisations.value(site, "select model_text from fed_audience.model_registry")


def settle_alike(organisations: Organisations, together: TrainedModel) -> None:
    """Let the agents train over gRPC; the model has the bytes of ``together``."""
    organisations.sign_all()
    with over_grpc(organisations) as program:
        record = program.step()
    assert record is not None
    assert record.stage == "settled"
    assert record.model_sha256 == together.result.sha256


def test_every_brand_starts_from_its_own_rate_and_may_grow_trees_of_its_own(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What trees of one's own must gain, in standard errors: less than nothing, so that some win.
    monkeypatch.setattr("fed_audience.gbdt.growing.continuation.NOISE", -1e9)
    four = {"n_estimators": 4, "max_depth": 2}
    change(organisations, "operator", model={"brand_base": True, "parameters": four})
    for site in SITES:
        change(organisations, site, agent={"continuation": True})
    together = in_one_process(organisations, continuation=True)
    settle_alike(organisations, together)
    texts = {site: held(organisations, site) for site in SITES}
    assert texts == {site: together.text_for(site) for site in SITES}
    assert len(set(texts.values())) == len(SITES)
    assert all(text.count("Tree=") > 4 for text in map(str, texts.values()))


def test_a_demand_is_learnt_and_scored_as_amounts(organisations: Organisations) -> None:
    for site in SITES:
        organisations.execute(
            site,
            "update fed_audience.training_requests"
            " set spec = replace(spec, 'propensity', 'demand')",
        )
        organisations.execute(site, "update fed_training_repurchase set label = floor(f_spend / 9)")
    organisations.edit("operator", "terms:\n", "terms:\n      task: demand\n")
    organisations.edit("ant", "score: false", "score: true")
    together = in_one_process(organisations)
    assert together.manifest.parameters.objective == "poisson"
    settle_alike(organisations, together)
    assert held(organisations, "bee") == together.result.model_text
    scores = "select {} from fed_audience.scores"
    assert organisations.value("ant", scores.format("count(*)")) == 300
    mean = organisations.value("ant", "select avg(label) from fed_training_repurchase")
    assert organisations.value("ant", scores.format("avg(score)")) == pytest.approx(mean, rel=0.1)


def test_noisy_training_is_paid_for_by_every_brand_before_anything_leaves(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(
        organisations,
        "operator",
        model={"privacy": PRIVACY},
        contract={"privacy": PRIVACY},
        public_values=PUBLIC,
    )
    limit(organisations.settings("ant").budget_book, ("ant",))
    limit(organisations.settings("bee").budget_book, ("bee",))
    organisations.sign_all()
    with over_grpc(organisations) as program:
        assert program.step() is None
        (declined,) = program.book.runs()
        assert declined.outcome is not None
        assert "cat: " in declined.outcome.why
        assert "has not said how much privacy it may spend" in declined.outcome.why
        limit(organisations.settings("cat").budget_book, ("cat",))
        organisations.now = declined.began.replace(hour=1)
        with no_noise(monkeypatch):
            together = in_one_process(organisations)
            record = program.step()
    assert record is not None
    assert record.stage == "settled"
    assert record.model_sha256 == together.result.sha256
    promised = together.result.privacy
    assert promised is not None
    for site in SITES:
        told = organisations.value(site, "select metrics from fed_audience.training_runs")
        assert json.loads(str(told))["privacy"] == promised.document()
        (charge,) = BudgetBook(organisations.settings(site).budget_book).balance(site).charges
        assert (charge.run_id, charge.mu) == (record.run, promised.mu)
