"""The shipped destinations keep the contract that every destination keeps."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from fed_audience.testing import Answer, Cut, WebhookReceiver
from fed_audience.testing.contract import DestinationContract
from fed_audience.testing.harness import Fault
from fed_audience_connectors.file import FileConfig, FileDestination
from fed_audience_connectors.webhook import WebhookConfig, WebhookDestination

SECRET = "a webhook secret of some length"


class FileHarness:
    purpose = "activate:email"
    faults: Collection[Fault] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.destination = FileDestination(
            FileConfig(folder=Path("out"), identifiers=("email_sha256",)), base=folder
        )

    def provoke(self, fault: Fault) -> None:
        raise NotImplementedError(fault)

    def members(self) -> Collection[str]:
        for path in self.folder.rglob("manifest.json"):
            name = json.loads(path.read_text())["snapshot"]["file"]
            lines = (path.parent / name).read_text().splitlines()
            return {line.split(",")[0].strip('"') for line in lines[1:]}
        return set()

    def bodies(self) -> Sequence[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.rglob("deltas/*.csv"))]


class WebhookHarness:
    purpose = "activate:ads"
    faults = tuple(Fault)

    def __init__(self, receiver: WebhookReceiver) -> None:
        self.receiver = receiver
        config = WebhookConfig(
            url=receiver.url, secret="TEST_WEBHOOK_SECRET", allow_loopback=True, batch_bytes=4_096
        )
        self.destination = WebhookDestination(config)

    def provoke(self, fault: Fault) -> None:
        answers: dict[Fault, Answer | Cut] = {
            Fault.REFUSE_BATCH: Answer(400),
            Fault.RATE_LIMIT: Answer(429, headers={"Retry-After": "1"}),
            Fault.UNAVAILABLE: Answer(500),
            Fault.CUT_AFTER: Cut.AFTER,
            Fault.FORBIDDEN: Answer(403),
        }
        if fault is Fault.REJECT_FIRST:
            refused: list[str] = []

            def reject(event: object) -> str | None:
                if refused:
                    return None
                refused.append("once")
                return f"bad record: {event}"

            self.receiver.inbox.reject = reject
        else:
            self.receiver.answer_next(answers[fault])

    def members(self) -> Collection[str]:
        return set(self.receiver.members())

    def bodies(self) -> Sequence[bytes]:
        return self.receiver.bodies


class TestFile(DestinationContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> FileHarness:
        return FileHarness(tmp_path)


class TestWebhook(DestinationContract):
    @pytest.fixture
    def harness(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookHarness]:
        monkeypatch.setenv("TEST_WEBHOOK_SECRET", SECRET)
        with WebhookReceiver(SecretStr(SECRET)) as receiver:
            yield WebhookHarness(receiver)
