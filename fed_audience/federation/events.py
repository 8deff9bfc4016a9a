"""What a training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOpened:
    """The sites hold the manifest and their rows."""

    sites: tuple[str, ...]


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
    """Every site encodes its rows: ``rows`` training rows over all sites, in ``bins`` bins."""

    rows: int
    positives: int
    validation_rows: int
    bins: int


@dataclass(frozen=True, slots=True)
class TreeGrown:
    """Tree ``number`` (from 1) of at most ``limit`` is finished."""

    number: int
    limit: int
    leaves: int


@dataclass(frozen=True, slots=True)
class ValidationMeasured:
    """Mean validation loss with the first ``trees`` trees; ``best``: lowest so far."""

    trees: int
    logloss: float
    best: bool


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """No more trees are grown. ``reason``: all_trees, early_stopping or no_gain."""

    reason: str
    trees: int
    kept: int


TrainingEvent = (
    RunOpened
    | SiteWarning
    | BinningRound
    | BinsAgreed
    | TreeGrown
    | ValidationMeasured
    | TrainingStopped
)
