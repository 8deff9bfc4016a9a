"""Pausing and cancelling a run from outside the thread that trains."""

from __future__ import annotations

import threading

from fed_audience.errors import RunInterrupted


class RunPaused(RunInterrupted):
    """The run rests between two levels; with a journal it can be resumed."""


class RunCancelled(RunInterrupted):
    """The run is over: the sites were told to forget it, and it cannot be resumed."""


class RunControl:
    """Stops a run at its next level border. Both methods may be called from any thread."""

    def __init__(self) -> None:
        self._paused = threading.Event()
        self._cancelled = threading.Event()

    def pause(self) -> None:
        """Let ``train`` raise RunPaused before it asks anything more."""
        self._paused.set()

    def cancel(self) -> None:
        """Let ``train`` tell the sites to forget the run, and raise RunCancelled."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise RunCancelled or RunPaused when the run is to stop."""
        if self._cancelled.is_set():
            raise RunCancelled("the run was cancelled", fix="begin a new run in a new folder")
        if self._paused.is_set():
            raise RunPaused(
                "the run is paused", fix="resume it from its folder when the sites are up"
            )
