from __future__ import annotations

from dataclasses import replace

from fed_audience.report import summary
from fed_audience.report.data import (
    BrandQuality,
    CalibrationCurve,
    ConsentFunnel,
    Egress,
    Estimate,
    FeatureImportance,
    LiftCurve,
    Quality,
    Step,
)
from fed_audience.report.summary import KeyNumber
from tests.report import sample


def test_the_paragraph_tells_the_whole_story_losses_included() -> None:
    assert summary.paragraph(sample.full()) == (
        "Three brands, fashion, grocery and travel, trained one propensity model on about "
        "34,800 consented customer rows. The rows stayed where they are; sums over many of them "
        "were exchanged. Everything that left a brand is (1, 1e-06)-differentially private for one "
        "row at one site, even if one site gives its noise away. Training together raised AUC at "
        "grocery (+0.041), made no clear difference "
        "at fashion (+0.010) and lowered it at travel (\u22120.039). For audience winter_sale, "
        "2,995 of 2,998 people requested were delivered, the best 10% of those who agreed to "
        "email. 24 records of people who may no longer be reached were removed at the destination."
    )


def test_a_bare_run_still_has_a_sentence() -> None:
    assert summary.paragraph(sample.bare()) == (
        "One brand, north, trained one propensity model on 1,200 consented customer rows."
    )
    assert summary.key_numbers(sample.bare()) == []


def test_many_brands_are_counted_not_named() -> None:
    data = sample.bare()
    sites = tuple(f"brand{number}" for number in range(12))
    text = summary.paragraph(replace(data, run=replace(data.run, sites=sites)))
    assert text.startswith("12 brands trained")


def test_the_three_numbers_are_gain_bytes_and_people() -> None:
    assert summary.key_numbers(sample.full()) == [
        KeyNumber("+0.004", "AUC from training together", "mean of 3 brands: 1 gain, 1 lose"),
        KeyNumber(
            "55.6 MB",
            "left the brands while training, as sums",
            "1,701 messages of 6 kinds, each listed below",
        ),
        KeyNumber(
            "2,995", "people delivered to email", "of 29,986 who consented and can be reached"
        ),
    ]


def test_without_anything_to_compare_the_first_number_is_the_models_own() -> None:
    quality = Quality((), overall=Estimate(0.7688))
    (number,) = summary.key_numbers(replace(sample.bare(), quality=quality))
    assert number == KeyNumber(
        "0.769", "AUC of the federated model", "on held-out rows of all brands"
    )


def test_consent_counts_first_and_last_step_of_all_brands() -> None:
    assert summary.consent_finding(sample.full().consent) == (
        "34,800 of 60,000 customers (58%) may train the model, and do."
    )
    nobody = ConsentFunnel("new", (Step("customers", 0), Step("training rows", 0)))
    assert summary.consent_finding((nobody,)).startswith("0 of 0 customers (none)")


def test_quality_of_many_brands_is_counted() -> None:
    first = sample.quality().brands[1]
    many = Quality(tuple(replace(first, brand=f"b{number}") for number in range(9)))
    assert summary.quality_finding(many) == "Training together raised AUC at 9 brands."
    alone = replace(first, verdict=None, difference=None)
    assert summary.quality_finding(Quality((alone,))) == "No brand could be compared."


def test_what_is_better_lower_is_lowered() -> None:
    gain = Estimate(0.25, 0.1, 0.4)
    ant = BrandQuality("ant", 50, None, Estimate(2.5), Estimate(2.25), gain, "gains")
    bee = replace(ant, brand="bee", difference=Estimate(-0.5, -0.7, -0.3), verdict="loses")
    quality = Quality((ant, bee), measure="deviance")
    assert summary.quality_finding(quality) == (
        "Training together lowered deviance at ant (\u22120.250) and raised it at bee (+0.500)."
    )
    (number,) = summary.key_numbers(replace(sample.bare(), quality=Quality((ant,), measure="RMSE")))
    assert (number.value, number.label) == ("\u22120.250", "RMSE from training together")


def test_lift_and_calibration_name_the_brands() -> None:
    data = sample.full()
    assert summary.lift_finding(data.lift) == (
        "Among the best 10% of customers, positives are 2.6\u00d7 the average at fashion, "
        "2.2\u00d7 the average at grocery and 1.8\u00d7 the average at travel."
    )
    assert summary.calibration_finding(data.calibration) == (
        "Probabilities are off by 6.5 percentage points on average at most, farthest at travel."
    )


def test_lifts_of_many_brands_are_a_range() -> None:
    many = tuple(sample.lift(f"b{number}", 2.0 + number / 10) for number in range(9))
    assert summary.lift_finding(many) == (
        "Among the best 10% of customers, positives are 1.9\u00d7 to 2.6\u00d7 the average, "
        "depending on the brand."
    )
    targets = tuple(
        replace(sample.lookalike().targets[1], brand=f"b{n}", lift=Estimate(2.0 + n / 10))
        for n in range(6)
    )
    assert summary.lookalike_finding(replace(sample.lookalike(), targets=targets)) == (
        "Lift among the best 5%: 2.0\u00d7 to 2.5\u00d7 at 6 brands."
    )


def test_gaps_are_distances_from_the_diagonal() -> None:
    curve = sample.calibration("x", 1.0)
    found = summary.gaps(curve)
    assert found is not None
    assert round(found.mean, 6) == round(found.largest, 6) == 0.006
    assert summary.gaps(CalibrationCurve("x", ())) is None


def test_curves_without_points_are_said_to_be_missing() -> None:
    assert summary.lift_finding((LiftCurve("x", ()),)) == "No curve could be measured."
    empty = (CalibrationCurve("x", ()),)
    assert summary.calibration_finding(empty) == "No probabilities could be checked."


def test_importance_counts_features_that_are_used() -> None:
    items = (
        FeatureImportance("a", 1.0, 2),
        FeatureImportance("b", 5.0, 9),
        FeatureImportance("c", 3.0, 4),
        FeatureImportance("d", 1.0, 1),
        FeatureImportance("e", 0.0, 0),
    )
    assert summary.importance_finding(items) == "b, c and a bring 90% of the gain; 4 of 5 are used."


def test_egress_adds_up_over_sites() -> None:
    assert summary.egress_finding(sample.egress()) == (
        "3 sites sent 55.6 MB, about 18.5 MB each, in 6 types of message."
    )
    assert summary.egress_finding(Egress((), ())) == "Nothing left a site."


def test_the_lookalike_is_set_beside_its_better_known_baseline() -> None:
    assert summary.lookalike_finding(sample.lookalike()) == (
        "Lift among the best 5%: 3.1\u00d7 at grocery (baseline 1.7\u00d7) and 2.3\u00d7 at travel "
        "(baseline 1.9\u00d7)."
    )
    assert summary.lookalike_finding(replace(sample.lookalike(), targets=())) == (
        "No target brand could be measured."
    )


def test_syncs_say_what_was_refused_and_that_a_repeat_sends_nothing() -> None:
    assert summary.sync_finding(sample.syncs()) == (
        "3,022 records sent in all, 24 of them removals; destinations refused 3 records. "
        "Two of 6 had nothing to send."
    )
    assert summary.sync_finding(sample.syncs()[1:3]) == (
        "1,208 records sent in all, 0 of them removals; destinations refused none."
    )
