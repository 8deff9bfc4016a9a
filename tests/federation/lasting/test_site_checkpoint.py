"""A site that is killed anywhere comes back into its run, with its rows or not at all."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import FederationError, ResourceError
from fed_audience.federation import RowsChanged, TrainingResult
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.site_checkpoint import SiteCheckpoint
from fed_audience.federation.transport import Envelope
from tests.federation.example import manifest, run, split, table, with_targets
from tests.federation.full_disk import full_disk
from tests.federation.mortal import Killed, Mortal, Sites, trained

ROWS = with_targets(table(240, seed=5))
NAMES = ("a", "b", "c")
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
CHOSEN: dict[str, Any] = {"n_estimators": 2, "max_depth": 3, "num_leaves": 7, "max_bin": 15}
AGREED = manifest(NAMES, **CHOSEN, early_stopping_round=3)


@pytest.fixture(scope="module")
def undisturbed() -> TrainingResult:
    return run(TABLES, **CHOSEN, early_stopping_round=3)


def interrupted(sites: Sites, folder: Path, place: tuple[int, int] = (1, 1)) -> None:
    """Train until the coordinator dies before it asks ``place``."""

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == place:
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=die), AGREED, folder)


def test_killed_before_any_message_a_site_answers_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """One site after the other is killed, before every message: no process lives two rounds."""
    sites = Sites(TABLES, tmp_path / "sites")
    transport = Mortal(sites, before=lambda call, _request: sites.start(NAMES[call % 3]))
    result = trained(transport, AGREED, tmp_path / "journal")
    assert len(transport.calls) > 12
    assert result.model_text == undisturbed.model_text
    assert result.metrics == undisturbed.metrics
    assert result.warnings == ()


def test_killed_after_its_answer_a_site_gives_the_same_bytes_again(tmp_path: Path) -> None:
    """Whatever was asked: also its run key, and the sums of a level deep in a tree."""
    sites = Sites(TABLES, tmp_path / "sites")
    answers: list[bytes] = []

    def again(_call: int, request: m.Request) -> None:
        body, before = m.encode(request), answers[-1]
        sites.start("c")
        assert sites.programs["c"].handle(body) == before
        kinds.add(type(request))

    def heard(envelope: Envelope) -> None:
        if (envelope.site, envelope.direction) == ("c", "from_site"):
            answers.append(envelope.body)

    kinds: set[type[m.Request]] = set()
    trained(Mortal(sites, after=again, on_message=heard), AGREED, tmp_path / "journal")
    assert kinds >= {m.OpenRun, m.PresentKey, m.AgreeKeys, m.CountValues, m.FixBins, m.StartTree}
    assert kinds >= {m.GrowLevel, m.FinishTraining, m.ScoreValidation}


def test_killed_between_computing_and_answering_a_site_answers_when_asked_again(
    tmp_path: Path, undisturbed: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is on the disk, the ledger does not know of it yet."""
    sites = Sites(TABLES, tmp_path / "sites")
    keep = SiteCheckpoint.keep_answer
    victims: set[bytes] = set()

    def kept_then_killed(self: SiteCheckpoint, request: bytes, digest: bytes) -> None:
        keep(self, request, digest)
        if request not in victims:
            victims.add(request)
            raise Killed

    monkeypatch.setattr(SiteCheckpoint, "keep_answer", kept_then_killed)
    for _ in range(40):
        try:
            result = trained(Mortal(sites), AGREED, tmp_path / "journal")
            break
        except Killed:
            for name in NAMES:
                sites.start(name)
    assert len(victims) > 12
    assert result.model_text == undisturbed.model_text


def test_all_processes_killed_at_every_message(tmp_path: Path, undisturbed: TrainingResult) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    deaths: set[bytes] = set()

    def die(_call: int, request: m.Request) -> None:
        body = m.encode(request)
        if not isinstance(request, m.ResumeRun) and body not in deaths:
            deaths.add(body)
            for name in NAMES:
                sites.start(name)
            raise Killed

    for _ in range(40):
        try:
            result = trained(Mortal(sites, after=die), AGREED, tmp_path / "journal")
            break
        except Killed:
            continue
    assert len(deaths) > 12
    assert result.model_text == undisturbed.model_text
    assert result.metrics == undisturbed.metrics


@pytest.mark.parametrize(
    "changes",
    [
        {"bagging_fraction": 0.6, "feature_fraction": 0.7},
        {
            "label": "next_channel",
            "task": "multiclass",
            "classes": ("0", "1", "2"),
            "objective": "multiclass",
            "num_class": 3,
        },
        {"label": "orders", "task": "demand", "objective": "poisson"},
        {"weight": "weight", "max_weight": 2.0, "scale_pos_weight": 2.5},
        {"brand": "brand", "brand_base": True, "brand_weights": (("north", 2.0),)},
        {"leaves_per_round": 2, "group_key": "person"},
        {"label_sites": ("a", "b"), "overrides": ("small_change", "two_sites")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_scores_are_the_same_doubles_whatever_is_learnt(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    """Every site is killed in the middle of the last tree, and the validation loss is a sum of
    what its scores are worth."""
    chosen = CHOSEN | {"n_estimators": 3, "early_stopping_round": 5} | changes
    whole = run(TABLES, **chosen)
    sites = Sites(TABLES, tmp_path / "sites")

    def restart(_call: int, request: m.Request) -> None:
        if request.slot.position in {(2, 1), (3, 0)}:
            for name in NAMES:
                sites.start(name)

    result = trained(Mortal(sites, before=restart), manifest(NAMES, **chosen), tmp_path / "journal")
    assert result.model_text == whole.model_text
    assert result.validation_losses == whole.validation_losses
    assert result.metrics == whole.metrics


@pytest.mark.parametrize("site", ["killed", "alive"])
def test_a_withdrawal_refuses_the_resume_by_name_and_burns_the_run(
    site: str, tmp_path: Path
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal")
    fewer = TABLES["b"].slice(1)
    if site == "killed":
        sites.tables["b"] = fewer
        sites.start("b")
    else:
        source: Any = sites.programs["b"]._opening._source
        source._table = fewer
    with pytest.raises(RowsChanged, match=r"site b refused \(withdrawn\)") as caught:
        trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert (caught.value.site, caught.value.reason) == ("b", "withdrawn")
    level = m.encode(m.PresentKey(slot=m.Slot(run="run", tree=m.PREPARATION, level=0)))
    reply = m.decode_reply(sites.programs["b"].handle(level))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "no_run"
    again = manifest(NAMES, **CHOSEN, early_stopping_round=3, run_id="anew")
    result = trained(Mortal(sites), again, tmp_path / "anew")
    remaining = run(TABLES | {"b": fewer}, **CHOSEN, early_stopping_round=3)
    assert result.model_text == remaining.model_text


def test_rows_that_came_since_are_left_out_and_their_order_does_not_matter(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal")
    since = with_targets(table(30, seed=77))
    names = pa.array([f"c{10_000 + i:06d}" for i in range(30)], pa.string())
    since = since.set_column(0, "customer", names)
    more = pa.concat_tables([since, TABLES["a"]])
    order = np.random.default_rng(1).permutation(more.num_rows)
    sites.tables["a"] = more.take(order)
    sites.start("a")
    assert trained(Mortal(sites), AGREED, tmp_path / "journal").model_text == undisturbed.model_text


@pytest.mark.parametrize("place", [(-1, 2), (0, 0), (1, 1)])
def test_changed_rows_are_refused_by_name(place: tuple[int, int], tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal", place)
    rows = TABLES["a"]
    spend: list[Any] = rows["spend"].to_pylist()
    spend[3] = 10 * spend[3] + 1
    sites.tables["a"] = rows.set_column(rows.column_names.index("spend"), "spend", pa.array(spend))
    sites.start("a")
    with pytest.raises(RowsChanged, match=r"site a refused \(rows_changed\)"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_a_changed_label_is_refused_by_name(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal")
    rows = TABLES["a"]
    labels = rows["label"].to_pylist()
    one, zero = labels.index(1), labels.index(0)
    labels[one], labels[zero] = 0, 1
    sites.tables["a"] = rows.set_column(rows.column_names.index("label"), "label", pa.array(labels))
    sites.start("a")
    with pytest.raises(RowsChanged, match=r"site a refused \(rows_changed\)"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_a_damaged_checkpoint_is_refused_by_name_and_a_new_run_takes_its_place(
    tmp_path: Path,
) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal")
    path = tmp_path / "sites" / "b" / "checkpoint" / "run.log"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    sites.start("b")
    with pytest.raises(FederationError, match=r"site b refused \(checkpoint\)"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")
    anew = manifest(NAMES, **CHOSEN, run_id="anew")
    assert trained(Mortal(sites), anew, tmp_path / "anew").stopped == "all_trees"


def test_a_torn_checkpoint_is_what_was_before_its_last_record(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """The last record's answer had not left: a site is asked that round again."""
    sites = Sites(TABLES, tmp_path / "sites")
    ledger = tmp_path / "sites" / "b" / "ledger"

    def copy(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            shutil.copytree(ledger, tmp_path / "before")

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=copy, after=die), AGREED, tmp_path / "journal")
    path = tmp_path / "sites" / "b" / "checkpoint" / "run.log"
    path.write_bytes(path.read_bytes()[:-5])
    shutil.rmtree(ledger)
    shutil.copytree(tmp_path / "before", ledger)
    sites.start("b")
    assert trained(Mortal(sites), AGREED, tmp_path / "journal").model_text == undisturbed.model_text


def test_without_its_ledger_a_site_does_not_go_on(tmp_path: Path) -> None:
    """It would answer rounds twice that it no longer knows of."""
    sites = Sites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal")
    shutil.rmtree(tmp_path / "sites" / "b" / "ledger")
    sites.start("b")
    with pytest.raises(FederationError, match=r"site b refused \(old_counter\)"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_a_full_disk_stops_the_run_by_name_and_it_goes_on_with_room(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """The coordinator's or a site's disk, at every size: whatever does not fit is not sent."""
    sites, named = Sites(TABLES, tmp_path / "sites"), list[str]()
    for size in np.geomspace(500, 8_000_000, 16).astype(int).tolist():
        try:
            with full_disk(size):
                result = trained(Mortal(sites), AGREED, tmp_path / "journal")
            break
        except ResourceError as error:
            named.append(str(error))
    assert any("the journal of the run cannot be written" in text for text in named)
    assert any("refused (checkpoint)" in text for text in named)
    assert result.model_text == undisturbed.model_text


def test_what_a_full_disk_did_not_keep_has_not_happened(
    tmp_path: Path, undisturbed: TrainingResult
) -> None:
    """A site that could not keep a round is killed before there is room: nothing is missing."""
    sites = Sites(TABLES, tmp_path / "sites")
    path = tmp_path / "sites" / "c" / "checkpoint" / "run.log"

    def fill(_call: int, request: m.Request) -> None:
        if request.slot.position == (1, 1):
            disk.enter_context(full_disk(path.stat().st_size + 10))

    with (
        ExitStack() as disk,
        pytest.raises(ResourceError, match=r"(refused \(checkpoint\)|cannot be written)"),
    ):
        trained(Mortal(sites, before=fill), AGREED, tmp_path / "journal")
    sites.start("c")
    assert trained(Mortal(sites), AGREED, tmp_path / "journal").model_text == undisturbed.model_text


def test_two_programs_do_not_share_a_checkpoint(tmp_path: Path) -> None:
    first = SiteCheckpoint(tmp_path)
    with pytest.raises(ResourceError, match="another process holds the checkpoint"):
        SiteCheckpoint(tmp_path)
    first.close()
    SiteCheckpoint(tmp_path).close()
