"""What holds a secret does not show it where it is printed: in a debugger, a traceback, a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from fed_audience.federation.lasting.site_checkpoint import KeptRun
from fed_audience.federation.site.opening import RunOpening
from fed_audience.jobs.agent_run import Station
from fed_audience.privacy.kept_keys import RunKeys
from fed_audience.privacy.ledger import RunRecord
from fed_audience.privacy.overlap.exchange import Asked

SECRET = "a secret that nobody is shown"
NONE = cast("Any", None)
RECORD = RunRecord("run", "terms", secret=SECRET)


@pytest.mark.parametrize(
    "holder",
    [
        RECORD,
        RunKeys(NONE, RECORD, NONE, None, {"bee": SECRET.encode()}, "hash"),
        KeptRun("run", b"", b"", np.zeros(0, dtype=np.uint64), keys=SECRET),
        Asked(SECRET.encode(), 1_000, 1_000, 0),
        RunOpening("ant", NONE, SECRET.encode(), 0, NONE, NONE, None),
        Station(Path("federation.yml"), NONE, SECRET.encode(), Path("agent"), NONE),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_secret_is_not_in_the_repr(holder: object) -> None:
    assert type(holder).__name__ in repr(holder)
    assert SECRET not in repr(holder)
