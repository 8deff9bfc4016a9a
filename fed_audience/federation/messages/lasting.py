"""Messages by which a run goes on after an interruption, or is forgotten."""

from __future__ import annotations

from typing import ClassVar

from fed_audience.federation.messages.base import Reply, Request
from fed_audience.federation.messages.keys import Digest  # noqa: TC001 - pydantic reads it


class ResumeRun(Request):
    """Go on with a run: the site has its rows asked for consent again, and none may be gone."""

    kind: ClassVar[int] = 21
    reveals: ClassVar[str] = "To the site: that the run goes on after an interruption."


class ForgetRun(Request):
    """Forget a run, its keys and its checkpoint."""

    kind: ClassVar[int] = 22
    reveals: ClassVar[str] = "To the site: that the run is over."


class RunResumed(Reply):
    """The site stands in the run with the rows that it began with."""

    kind: ClassVar[int] = 85
    reveals: ClassVar[str] = "That no row of the site was withdrawn since the run began."
    manifest_sha256: Digest


class RunForgotten(Reply):
    """The site holds nothing of the run."""

    kind: ClassVar[int] = 86
    reveals: ClassVar[str] = "That the site holds nothing of the run any more."
