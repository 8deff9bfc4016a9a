"""Progress in the terminal: each step with its time, the running one with a spinner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fed_audience.federation.events import BinsAgreed, TreeGrown
from fed_audience.jobs.pipeline import Listeners
from fed_audience.report.formatting import size

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import TaskID

    from fed_audience.federation.events import TrainingEvent


class Steps:
    """Draws steps one after another; where there is no terminal, one plain line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._title = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(done=kind is None)
        self._progress.stop()

    @property
    def listeners(self) -> Listeners:
        """What the jobs tell their progress to."""
        return Listeners(on_step=self.step, on_training=self._training)

    def step(self, title: str) -> None:
        """Begin a step; the one before is done."""
        self._finish(done=True)
        self._title, self._began = title, time.monotonic()
        self._task = self._progress.add_task(title)

    def update(self, title: str) -> None:
        """Say how far the running step is."""
        if self._task is not None:
            self._progress.update(self._task, description=title)

    def _training(self, name: str, event: TrainingEvent) -> None:
        if self._task is None:
            return
        if isinstance(event, BinsAgreed):
            most = size(event.level_bytes)
            title = f"train {name}: a site sends at most {most} a level"
            self._progress.update(self._task, description=title)
        elif isinstance(event, TreeGrown):
            title = f"train {name}: tree {event.number} of at most {event.limit}"
            self._progress.update(self._task, description=title)

    def _finish(self, *, done: bool) -> None:
        if self._task is None:
            return
        seconds = time.monotonic() - self._began
        mark = "[green]done[/green]" if done else "[red]stopped[/red]"
        self._console.print(f"{mark} {self._title} [dim]{seconds:.1f} s[/dim]", highlight=False)
        self._progress.remove_task(self._task)
        self._task = None
