"""A site that stops and starts again: what its ledger and its peers remember."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fed_audience.privacy.ledger import FileLedger
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import Round
from tests.privacy.consortium import RUN, Consortium, add_up, plain_sum


def with_files(count: int, folder: Path) -> Consortium:
    names = [f"s{number:03d}" for number in range(count)]
    return Consortium(count, ledgers={name: FileLedger(folder / name) for name in names})


def restart(consortium: Consortium, name: str, folder: Path) -> None:
    consortium.ledgers[name] = FileLedger(folder / name)
    consortium.sites[name] = consortium.start(name)


def test_after_a_restart_the_sites_agree_anew_and_go_on(tmp_path: Path) -> None:
    consortium = with_files(3, tmp_path).agreed()
    vectors = consortium.vectors()
    before = consortium.masked(Round(RUN, 0, 0), vectors)["s000"]
    for name in consortium.names:
        restart(consortium, name, tmp_path)
    consortium.agreed()
    asked = Round(RUN, 0, 0, attempt=1)
    masked = consortium.masked(asked, vectors)
    assert not np.array_equal(masked["s000"], before)
    assert np.array_equal(
        add_up(masked, consortium.names).total(), plain_sum(vectors, consortium.names)
    )


def test_old_round_after_restart(tmp_path: Path) -> None:
    """The coordinator asks a restarted site for rounds that are over."""
    consortium = with_files(3, tmp_path).agreed()
    vectors = consortium.vectors()
    consortium.masked(Round(RUN, 4, 2), vectors)
    for name in consortium.names:
        restart(consortium, name, tmp_path)
    consortium.agreed()
    site = consortium.sites["s000"]
    for asked, values, reason in (
        (Round(RUN, 4, 1), vectors["s000"], "reordered"),
        (Round(RUN, 4, 2), vectors["s000"] + 1, "changed_vector"),
        (Round(RUN, 4, 2, 1), vectors["s000"] + 1, "changed_vector"),
    ):
        with pytest.raises(SecureSumError) as caught:
            site.mask(asked, consortium.names, values)
        assert caught.value.reason == reason


def test_old_counter_after_restart(tmp_path: Path) -> None:
    """A site whose ledger was restored from a copy presents a counter its peers have seen."""
    consortium = with_files(3, tmp_path).agreed()
    shutil.copytree(tmp_path / "s001", tmp_path / "copy")
    restart(consortium, "s001", tmp_path)
    consortium.sites["s000"] = consortium.start("s000")
    consortium.sites["s002"] = consortium.start("s002")
    consortium.agreed()
    assert consortium.cards["s001"].counter == 2
    shutil.rmtree(tmp_path / "s001")
    shutil.copytree(tmp_path / "copy", tmp_path / "s001")
    restart(consortium, "s001", tmp_path)
    consortium.sites["s000"] = consortium.start("s000")
    cards = consortium.present()
    assert cards["s001"].counter == 2
    with pytest.raises(SecureSumError, match="s001") as caught:
        consortium.sites["s000"].agree(cards)
    assert caught.value.reason == "old_counter"


def test_an_old_card_of_a_peer_is_refused(tmp_path: Path) -> None:
    consortium = with_files(3, tmp_path).agreed()
    old = consortium.cards["s001"]
    for name in consortium.names:
        restart(consortium, name, tmp_path)
    consortium.agreed()
    consortium.sites["s000"] = consortium.start("s000")
    cards = {**consortium.present(), "s001": old}
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].agree(cards)
    assert caught.value.reason == "old_counter"


def test_an_old_card_of_its_own_is_refused() -> None:
    consortium = Consortium(3)
    old = consortium.present()
    cards = {**consortium.present(), "s000": old["s000"]}
    with pytest.raises(SecureSumError, match="s000") as caught:
        consortium.sites["s000"].agree(cards)
    assert caught.value.reason == "old_counter"


def test_a_signed_set_of_survivors_survives_the_process(tmp_path: Path) -> None:
    consortium = with_files(13, tmp_path).agreed()
    vectors = consortium.vectors()
    asked = Round(RUN, 1, 0)
    consortium.masked(asked, vectors)
    consortium.sites["s000"].sign_survivors(asked, consortium.names[:10])
    for name in consortium.names:
        restart(consortium, name, tmp_path)
    consortium.agreed()
    again = replace(asked, attempt=1)
    site = consortium.sites["s000"]
    with pytest.raises(SecureSumError) as caught:
        site.mask(again, consortium.names, vectors["s000"])
    assert caught.value.reason == "two_survivor_sets"
    site.mask(again, consortium.names[:10], vectors["s000"])
    with pytest.raises(SecureSumError) as caught:
        site.sign_survivors(again, consortium.names[:9])
    assert caught.value.reason == "two_survivor_sets"


def test_a_vector_does_not_leave_when_the_ledger_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium = with_files(3, tmp_path).agreed()
    vectors = consortium.vectors()

    def full(_self: object, _path: object, _document: object) -> None:
        raise SecureSumError("ledger")

    monkeypatch.setattr(FileLedger, "_write", full)
    for _ in range(2):
        with pytest.raises(SecureSumError) as caught:
            consortium.masked(Round(RUN, 0, 0), vectors)
        assert caught.value.reason == "ledger"
