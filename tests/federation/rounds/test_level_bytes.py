"""How much a level of trees sends is known, told and limited before the first tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fed_audience.errors import ConfigError
from fed_audience.federation import InProcessTransport, train
from fed_audience.federation import messages as m
from fed_audience.federation.events import BinsAgreed
from fed_audience.federation.rounds import preparing
from tests.federation.example import manifest, programs, table, with_targets

if TYPE_CHECKING:
    from fed_audience.federation import Envelope, TrainingEvent

ROWS = {"all": with_targets(table(300))}
CLASSES: dict[str, Any] = {
    "task": "multiclass",
    "objective": "multiclass",
    "label": "next_channel",
    "num_class": 3,
}


def level_bytes(**changes: Any) -> tuple[int, int]:
    """Return what was told, and the most that a level of the run then sent."""
    told: list[int] = []
    sent = [0]

    def on_event(event: TrainingEvent) -> None:
        if isinstance(event, BinsAgreed):
            told.append(event.level_bytes)

    def on_message(message: Envelope) -> None:
        if message.direction == "from_site" and told:
            reply = m.decode_reply(message.body)
            if isinstance(reply, m.LevelHistogram | m.RootHistogram):
                sent[0] = max(sent[0], reply.words.nbytes)

    transport = InProcessTransport(programs(ROWS), on_message)
    train(transport, manifest(["all"], n_estimators=2, **changes), on_event=on_event)
    return told[0], sent[0]


def test_trees_of_as_many_classes_send_as_many_times_the_bytes() -> None:
    one, sent = level_bytes()
    several, sent_of_several = level_bytes(**CLASSES)
    assert several == 3 * one
    assert 0 < sent <= one
    assert sent < sent_of_several <= several


def test_a_level_that_is_too_large_is_refused_before_the_first_tree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most, _ = level_bytes()
    monkeypatch.setattr(preparing, "MAX_LEVEL_BYTES", most)
    kinds: list[type[m.Reply]] = []
    asked = manifest(["all"], **CLASSES)
    transport = InProcessTransport(
        programs(ROWS),
        lambda message: (
            kinds.append(type(m.decode_reply(message.body)))
            if message.direction == "from_site"
            else None
        ),
    )
    assert level_bytes()[0] == most
    with pytest.raises(ConfigError, match=r"too large a message.*3 trees"):
        train(transport, asked)
    assert m.ValueCounts in kinds
    assert m.RootHistogram not in kinds
