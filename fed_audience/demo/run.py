"""The demo from end to end: raw tables to delivered audiences, a withdrawal, and the report."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fed_audience.config import secret_from_environment
from fed_audience.demo.lifts import SHARE, hidden_lift, seed_rule_lift
from fed_audience.demo.pooled import PooledComparison, train_pooled
from fed_audience.demo.settings import AS_OF
from fed_audience.demo.summary import DemoOutcome
from fed_audience.demo.withdrawal import AFTER, story_of, withdraw_some
from fed_audience.demo.workspace import (
    Workspace,
    build_brand,
    environment,
    prepare,
    write_federation,
)
from fed_audience.jobs.facts import estimate, report_of, sync_of
from fed_audience.jobs.pipeline import Secrets, build_brands, deliver_all, run_pipeline
from fed_audience.jobs.settings import load_federation
from fed_audience.report import data as r
from fed_audience.report.page import write_report
from fed_audience.testing.receiver import WebhookReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fed_audience.demo.generate import DemoData
    from fed_audience.jobs.pipeline import Listeners, PipelineOutcome

LED_BY = "repurchase"
DELIVERED = "likely_to_buy"
LOOKALIKE = "premium"
SEED_RULE = "high_value"


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a demo leaves behind for whoever wants to look closer."""

    outcome: DemoOutcome
    workspace: Workspace
    payloads: tuple[bytes, ...]


def run_demo(
    folder: Path,
    *,
    customers: int,
    seed: int,
    setting: str,
    listeners: Listeners,
    on_generated: Callable[[DemoData], None] | None = None,
) -> DemoRun:
    """Run the whole demo in ``folder`` and write its report.

    ``on_generated`` is called before the generated tables are loaded. Raises what its steps raise;
    what they finished stays, and a second run reuses the data and what dbt built.
    """
    began = time.monotonic()
    workspace, data = prepare(
        folder, customers=customers, seed=seed, setting=setting, on_step=listeners.on_step
    )
    if on_generated is not None:
        on_generated(data)
    with _environment(workspace):
        secret = secret_from_environment("FED_AUDIENCE_WEBHOOK_SECRET")
        with WebhookReceiver(secret) as receiver:
            write_federation(workspace, receiver.url)
            facts, withdrawn = _through(workspace, data, receiver, listeners)
            payloads = tuple(receiver.bodies)
    listeners.on_step("write the report")
    write_report(facts, workspace.report)
    shown = DemoOutcome(
        facts=facts,
        customers=data.customers,
        events=data.events,
        setting=data.setting,
        withdrawn_people=withdrawn,
        report=workspace.report,
        seconds=time.monotonic() - began,
    )
    return DemoRun(shown, workspace, payloads)


@contextmanager
def _environment(workspace: Workspace) -> Iterator[None]:
    """Lead to the demo's secrets for the length of the run."""
    before = dict(os.environ)
    os.environ.update(environment(workspace))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _through(
    workspace: Workspace, data: DemoData, receiver: WebhookReceiver, listeners: Listeners
) -> tuple[r.ReportData, int]:
    settings = load_federation(workspace.federation)
    secrets = Secrets(
        secret_from_environment(settings.category_key), secret_from_environment(settings.state_key)
    )
    listeners.on_step("build each brand with dbt")
    build_brands(settings, as_of=AS_OF, build=lambda site: build_brand(workspace, data, site))
    outcome = run_pipeline(
        settings, base=workspace.folder, as_of=AS_OF, secrets=secrets, listeners=listeners
    )
    listeners.on_step("train on all rows in one place, to compare")
    pooled = train_pooled(outcome.trained[LED_BY], secrets.category)
    first = len(receiver.bodies)
    listeners.on_step("some people withdraw; sync again, and once more")
    audience = settings.audience(DELIVERED)
    withdrawal = withdraw_some(workspace, outcome, audience)
    second, third = (
        deliver_all(settings, base=workspace.folder, clock=clock, secrets=secrets)
        for clock in (lambda: AS_OF + 2 * AFTER, lambda: AS_OF + 3 * AFTER)
    )
    before, after = receiver.bodies[:first], receiver.bodies[first:]
    facts = report_of(outcome)
    facts = replace(
        facts,
        title="Three generated brands",
        run=replace(facts.run, generated_data=True, pooled_sha256=pooled.sha256),
        quality=_with_pooled(facts.quality, pooled),
        lookalikes=(
            _lookalike(workspace, outcome, data.seed),
            _seed_rule(outcome, secrets, data.seed),
        ),
        syncs=tuple(
            sync_of(label, one)
            for label, reports in (
                ("first delivery", outcome.syncs),
                ("after the withdrawals", second),
                ("once more", third),
            )
            for one in reports
        ),
        withdrawal=story_of(settings, audience, withdrawal, secrets, before, after),
        next_steps=_next_steps(workspace),
    )
    return facts, withdrawal.count


def _with_pooled(quality: r.Quality | None, pooled: PooledComparison) -> r.Quality | None:
    if quality is None:
        return None
    brands = tuple(
        replace(brand, pooled=estimate(pooled.auc[brand.brand])) for brand in quality.brands
    )
    return replace(quality, brands=brands)


def _lookalike(workspace: Workspace, outcome: PipelineOutcome, seed: int) -> r.Lookalike:
    trained = outcome.trained[LOOKALIKE]
    rules, common = trained.lookalike, trained.common
    if rules is None or common is None or rules.seed_brand is None:
        raise AssertionError(f"{LOOKALIKE} is a lookalike of one brand's seeds")
    targets = []
    for site in outcome.settings.sites_of(trained.manifest.sites):
        lift = hidden_lift(workspace, site, trained.name, seed=seed)
        judged = trained.differences.get(site.name)
        targets.append(
            r.LookalikeTarget(
                brand=site.name,
                lift=r.Estimate(lift.model, lift.low, lift.high),
                random=lift.random,
                rfm=lift.rfm,
                ceiling=lift.ceiling,
                discriminator_auc=judged.auc if judged else None,
                discriminator_verdict=judged.verdict if judged else None,
                is_seed=site.name == rules.seed_brand,
            )
        )
    seeds = trained.training[rules.seed_brand]
    return r.Lookalike(
        name=trained.name,
        mode=rules.mode,
        share=SHARE,
        targets=tuple(targets),
        seed_brand=rules.seed_brand,
        seeds=int(pc.sum(seeds[trained.spec.label]).as_py()),
        features_kept=len(common.kept),
        left_out=tuple(common.left_out.items()),
        measured_against="the hidden taste that the generated people were given",
    )


def _seed_rule(outcome: PipelineOutcome, secrets: Secrets, seed: int) -> r.Lookalike:
    trained = outcome.trained[SEED_RULE]
    lifts = {
        site: seed_rule_lift(trained, site, secrets.category, seed=seed)
        for site in trained.held_out
    }
    return r.Lookalike(
        name=trained.name,
        mode="seed_rule",
        share=SHARE,
        targets=tuple(
            r.LookalikeTarget(
                brand=site,
                lift=r.Estimate(lift.model, lift.low, lift.high),
                random=lift.random,
                rfm=lift.rfm,
                ceiling=lift.ceiling,
            )
            for site, lift in lifts.items()
        ),
        features_kept=len(trained.manifest.features),
        measured_against="who belonged to the best tenth by revenue in the 30 days that followed",
    )


def _next_steps(workspace: Workspace) -> tuple[r.NextStep, ...]:
    config = f"--config {workspace.federation} --as-of {AS_OF:%Y-%m-%dT%H:%M}"
    shared = f". {workspace.folder / 'environment.sh'}; fed-audience"
    return (
        r.NextStep(
            f"{shared} audience {DELIVERED} --share 0.05 {config}",
            "a smaller reach from the same scores; nothing is trained again",
        ),
        r.NextStep(
            "fed-audience simulate your.csv --label COLUMN --sites 4 --split time",
            "whether federating would pay on a table of your own",
        ),
    )
