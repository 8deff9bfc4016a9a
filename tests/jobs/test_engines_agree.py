"""The same brands on DuckDB and on PostgreSQL: the same model, scores, members and deliveries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.pipeline import Listeners, PipelineOutcome, Secrets, run_pipeline
from fed_audience.jobs.sync import sync_audience
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation

SECRETS = Secrets(SecretStr("a category key of both"), SecretStr("a state key of both"))
SQL = {
    "registry": "select model_name, model_version, model_text, encoder, metrics, is_active, is_rank"
    " from fed_audience.model_registry",
    "runs": "select model_name, status, partners, rows_requested, rows_used, rows_withdrawn, rounds"
    " from fed_audience.training_runs",
    "requests": "select request_id, status, claimed_by, claimed_at, finished_at"
    " from fed_audience.training_requests",
    "scores": "select customer_id, score, is_rank, scored_at from fed_audience.scores",
    "members": "select customer_id, score, audience, channel from fed_audience.audience_members",
    "sent": "select record_key, in_audience, in_doubt, version, fingerprint, attempts"
    " from fed_audience.sync_state",
}


def run(federation: SmallFederation, days: int = 0) -> PipelineOutcome:
    return run_pipeline(
        federation.settings,
        base=federation.folder,
        as_of=NOW + timedelta(days=days),
        secrets=SECRETS,
        listeners=Listeners(),
    )


def held(federation: SmallFederation, brand: str) -> dict[str, list[dict[str, Any]]]:
    with federation.site(brand).open() as warehouse:
        found = {name: warehouse.query(text).to_pylist() for name, text in SQL.items()}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def delivered(federation: SmallFederation) -> dict[str, bytes]:
    folder = federation.folder / "delivered"
    return {
        str(path.relative_to(folder)): b"".join(sorted(path.read_bytes().splitlines()))
        for path in sorted(folder.rglob("*.csv"))
    }


def withdraw(federation: SmallFederation, customer: str) -> None:
    federation.execute(
        "ant",
        "insert into main.int_consent_ledger select 'w' || consent_event_id, member_id, subject_id,"
        f" purpose, 'withdrawn', jurisdiction, timestamp '{NOW}', timestamp '{NOW}', null,"
        " 'server', is_minor, legal_basis from main.int_consent_ledger"
        f" where subject_id = '{customer}'",
    )


def test_the_whole_job_does_the_same_on_both_engines(
    small_federation: SmallFederation, small_postgres_federation: SmallFederation
) -> None:
    federations = (small_federation, small_postgres_federation)
    outcomes = [run(federation) for federation in federations]
    assert outcomes[0].funnels == outcomes[1].funnels
    counted = [[replace(one.report, run_id="") for one in outcome.syncs] for outcome in outcomes]
    assert counted[0] == counted[1]
    for brand in BRANDS:
        on_duckdb, on_postgres = (held(federation, brand) for federation in federations)
        assert on_duckdb == on_postgres
        assert len(on_duckdb["scores"]) == 300
        assert on_duckdb["members"]
    assert delivered(small_federation) == delivered(small_postgres_federation) != {}


def test_a_withdrawal_is_followed_on_both_engines(
    small_federation: SmallFederation, small_postgres_federation: SmallFederation
) -> None:
    """Scored, a member and sent: then consent goes, and so do score, membership and record."""
    for federation in (small_federation, small_postgres_federation):
        run(federation)
        member = str(
            federation.value("ant", "select min(customer_id) from fed_audience.audience_members")
        )
        withdraw(federation, member)
        score = f"select count(*) from fed_audience.scores where customer_id = '{member}'"
        assert federation.value("ant", score) == 1
        settings, later = federation.settings, NOW + timedelta(hours=1)
        top = settings.audience("top")
        build_audience(settings, top, as_of=later, key=SECRETS.ties)
        reports = list(
            sync_audience(
                settings, top, base=federation.folder, as_of=later, secret=SECRETS.state_key
            )
        )
        assert federation.value("ant", score) == 0
        members = "select count(*) from fed_audience.audience_members where customer_id ="
        assert federation.value("ant", f"{members} '{member}'") == 0
        assert reports[0].report.withdrawn == 1
