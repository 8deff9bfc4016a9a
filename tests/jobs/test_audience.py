"""Audiences of small brands: who is chosen, and what a mistaken instant must not do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr

from fed_audience.errors import ConfigError, ConsentError, DataError
from fed_audience.jobs.audience import SiteAudience, build_audience
from fed_audience.jobs.sync import sync_audience
from tests.jobs.small_federation import NOW, SmallFederation

SECRET = SecretStr("a state key that nobody else knows")
SCORES = "select count(*) from fed_audience.scores"


@pytest.fixture
def scored(small_federation: SmallFederation) -> SmallFederation:
    """Everyone has a score: their number over the customers'."""
    for brand in ("ant", "bee"):
        small_federation.execute(
            brand,
            "insert into fed_audience.scores select 'repurchase', 'v1', customer_id,"
            f" substr(customer_id, 4)::int / 300, false, '{NOW}', null from stg_cdp__customers",
        )
    return small_federation


def build(
    federation: SmallFederation, hours: float = 0.0, share: float | None = None
) -> tuple[SiteAudience, ...]:
    settings = federation.settings
    as_of = NOW + timedelta(hours=hours)
    return build_audience(settings, settings.audience("top"), as_of=as_of, key=b"k", share=share)


def test_the_best_share_of_the_eligible_is_chosen_at_each_brand(scored: SmallFederation) -> None:
    scored.execute(
        "ant", "update int_contact_details set email = null where customer_id < 'ant100'"
    )
    ant, bee = build(scored)
    assert (ant.site, ant.eligibility.count, ant.no_identifier, ant.cut.count) == (
        "ant",
        200,
        100,
        40,
    )
    assert (bee.site, bee.eligibility.count, bee.no_identifier, bee.cut.count) == (
        "bee",
        300,
        0,
        60,
    )
    chosen = "select min(customer_id) from fed_audience.audience_members where audience = 'top'"
    assert scored.value("ant", chosen) == "ant260"
    assert scored.value("bee", chosen) == "bee240"


def test_another_share_replaces_the_members(scored: SmallFederation) -> None:
    build(scored)
    assert [one.cut.count for one in build(scored, share=0.1)] == [30, 30]
    assert scored.value("ant", "select count(*) from fed_audience.audience_members") == 30


def test_one_cut_over_all_brands_takes_the_best_of_all(scored: SmallFederation) -> None:
    scored.execute("bee", "update fed_audience.scores set score = score / 2")
    scored.edit("share: 0.2,", "share: 0.2, cut: federation, floor_share: 0.05,")
    ant, bee = build(scored)
    assert (bee.cut.count, bee.eligibility.count) == (15, 300)
    assert 90 <= ant.cut.count + bee.cut.count <= 120


def test_who_left_profiling_is_erased_and_who_refuses_the_channel_is_not_chosen(
    scored: SmallFederation,
) -> None:
    scored.execute(
        "ant",
        "delete from int_consent_ledger where (purpose = 'profile' and subject_id = 'ant299')"
        " or (purpose = 'activate:email' and subject_id = 'ant298')",
    )
    ant, _ = build(scored)
    assert ant.eligibility.count == 298
    assert scored.value("ant", SCORES) == 299
    best = "select max(customer_id) from fed_audience.audience_members"
    assert scored.value("ant", best) == "ant297"


@pytest.mark.parametrize(
    ("hours", "kind", "words"),
    [
        (26, ConsentError, "the consent ledger is too old"),
        (-1, DataError, "ant has scores that are younger.*value: 2026-05-31 23:00 UTC"),
        (-24 * 365, ConsentError, "no event at all"),
    ],
)
def test_an_instant_that_the_ledger_cannot_speak_of_erases_nothing(
    scored: SmallFederation, hours: float, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build(scored, hours)
    assert (scored.value("ant", SCORES), scored.value("bee", SCORES)) == (300, 300)


def test_a_brand_without_scores_is_named(scored: SmallFederation) -> None:
    scored.execute("bee", "delete from fed_audience.scores")
    with pytest.raises(DataError, match=r"bee has no scores.*`fed-audience score repurchase`"):
        build(scored)
    assert scored.value("ant", "select count(*) from fed_audience.audience_members") == 0


def test_a_mistake_at_the_last_brand_is_met_before_the_first_is_sent_anything(
    scored: SmallFederation,
) -> None:
    build(scored)
    scored.edit("project: bee", "project: wasp")
    settings = scored.settings
    with pytest.raises(ConfigError, match=r"wasp/dbt_project\.yml"):
        list(
            sync_audience(
                settings,
                settings.audience("top"),
                base=scored.folder,
                as_of=NOW,
                secret=SECRET,
            )
        )
    assert not (scored.folder / "delivered").exists()


def test_a_delivery_is_recorded_for_the_next(scored: SmallFederation) -> None:
    build(scored)
    settings, top = scored.settings, scored.settings.audience("top")
    for added, unchanged in ((60, 0), (0, 60)):
        reports = list(sync_audience(settings, top, base=scored.folder, as_of=NOW, secret=SECRET))
        assert [one.site for one in reports] == ["ant", "bee"]
        assert [(one.report.added, one.report.unchanged) for one in reports] == [
            (added, unchanged)
        ] * 2
