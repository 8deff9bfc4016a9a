"""What a training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOpened:
    """The sites hold the manifest and their rows."""

    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunResumed:
    """The run goes on after an interruption, behind ``trees`` finished rounds of trees.

    What is told of these rounds is told again.
    """

    trees: int


@dataclass(frozen=True, slots=True)
class SiteWarning:
    """Something unusual that does not stop the run; ``site`` is empty for all sites together."""

    site: str
    text: str


@dataclass(frozen=True, slots=True)
class BinningRound:
    """Counts of ``cells`` cells and buckets were summed, round ``number`` (from 0)."""

    number: int
    cells: int


@dataclass(frozen=True, slots=True)
class BinsAgreed:
    """Every site encodes its rows: ``rows`` training rows over all sites, in ``bins`` bins.

    ``level_bytes``: what a site sends at most for one level of all trees that grow together.
    """

    rows: int
    validation_rows: int
    bins: int
    level_bytes: int


@dataclass(frozen=True, slots=True)
class TreeGrown:
    """Round ``number`` (from 1) of at most ``limit`` is finished: a tree a class."""

    number: int
    limit: int
    leaves: int


@dataclass(frozen=True, slots=True)
class ValidationMeasured:
    """Mean validation loss after the first ``trees`` rounds; ``best``: lowest so far."""

    trees: int
    loss: float
    best: bool


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """No more trees are grown. ``reason``: all_trees, early_stopping or no_gain.

    ``trees`` rounds were finished, ``kept`` of them are the model.
    """

    reason: str
    trees: int
    kept: int


TrainingEvent = (
    RunOpened
    | RunResumed
    | SiteWarning
    | BinningRound
    | BinsAgreed
    | TreeGrown
    | ValidationMeasured
    | TrainingStopped
)
