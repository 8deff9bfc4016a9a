"""Connectors are found by entry point, and refused before they can do harm."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fed_audience.activation import available, load, open_destination, registry
from fed_audience.errors import ConfigError
from fed_audience_connectors.file import FileDestination
from fed_audience_connectors.webhook import WebhookDestination


def test_the_shipped_connectors_are_found() -> None:
    assert {"file", "webhook"} <= set(available())
    assert load("file") is FileDestination
    assert load("webhook") is WebhookDestination


def test_a_destination_is_built_from_its_block(tmp_path: Path) -> None:
    found = open_destination("out", {"type": "file", "folder": "here"}, base=tmp_path)
    assert isinstance(found, FileDestination)
    assert str(tmp_path / "here") in found.check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "webhok"}, "did you mean 'webhook'"),
        ({}, "needs a type"),
        ({"type": "file", "foldr": "x"}, "did you mean 'folder'"),
        ({"type": "webhook", "url": "ftp://x", "secret": "A_SECRET"}, "begins with https"),
        ({"type": "webhook", "url": "https://u:p@x.example", "secret": "A_SECRET"}, "no user"),
        ({"type": "webhook", "url": "https://x.example", "secret": "hunter2"}, "secret"),
        ({"type": "webhook", "url": "https://x.example", "secret": "NOT_SET_HERE"}, "NOT_SET"),
    ],
)
def test_a_wrong_block_is_refused_in_one_line(tmp_path: Path, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_destination("crm", settings, base=tmp_path)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


class Connector:
    spec = FileDestination.spec

    def upsert(self, batch: Any) -> Any:
        raise NotImplementedError

    def remove(self, batch: Any) -> Any:
        raise NotImplementedError


class OtherInterface(Connector):
    spec = replace(FileDestination.spec, interface=2)


class NoPurpose(Connector):
    spec = replace(FileDestination.spec, purposes=())


class NoSpec:
    pass


class CannotRemove:
    spec = FileDestination.spec

    def upsert(self, batch: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("OtherInterface", "built for another interface; value: 2; allowed: 1"),
        ("NoPurpose", "names no consent purpose"),
        ("NoSpec", "has no specification"),
        ("CannotRemove", "cannot remove"),
        ("Absent", "cannot be loaded"),
    ],
)
def test_a_connector_that_could_do_harm_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, target: str, message: str
) -> None:
    module = SimpleNamespace(
        OtherInterface=OtherInterface, NoPurpose=NoPurpose, NoSpec=NoSpec, CannotRemove=CannotRemove
    )
    monkeypatch.setitem(sys.modules, "third_party", module)
    point = EntryPoint("odd", f"third_party:{target}", registry.GROUP)
    installed = {registry.GROUP: [point]}
    monkeypatch.setattr(registry, "entry_points", lambda group: installed[group])
    with pytest.raises(ConfigError, match=message):
        load("odd")
