"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fed_audience import cli
from tests.jobs.overlap_brands import pair, pair_template
from tests.jobs.small_federation import (
    small_federation,
    small_federation_template,
    trained,
    trained_template,
)

__all__ = [
    "pair",
    "pair_template",
    "small_federation",
    "small_federation_template",
    "trained",
    "trained_template",
]

Fail = Callable[..., tuple[int, str]]


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Fail:
    """Run a command that must fail; return its exit code and its one line."""

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(part) for part in arguments])
        said = capsys.readouterr().err
        assert said.startswith("fed-audience: ")
        assert said.count("\n") == 1
        assert ". To mend it: " in said
        assert "Traceback" not in said
        assert isinstance(left.value.code, int)
        return left.value.code, said

    return call
