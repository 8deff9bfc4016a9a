"""What a user may choose about a simulation."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.errors import ConfigError, UsageError
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from pathlib import Path

MAX_SITES: Final = 500
SimulatedTask = Literal["propensity", "lookalike"]

_SPLITS: Final = re.compile(r"iid|time|dirichlet:(?P<alpha>[0-9]*\.?[0-9]+(?:e-?[0-9]+)?)")
_FLAGS: Final = {
    "n_estimators": "--trees",
    "max_depth": "--depth",
    "learning_rate": "--learning-rate",
    "max_bin": "--max-bin",
}


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """One simulation. Raises UsageError for flags that contradict each other or make no sense.

    ``sites`` and ``split`` cut the rows into sites unless ``site_column`` names them:
    ``iid`` by hash, ``time`` in blocks of file order, ``dirichlet:ALPHA`` with skewed labels.
    ``test`` is a file of its own, otherwise ``test_fraction`` of the rows are drawn by hash.
    """

    path: Path
    label: str
    positive: str | None = None
    drop: tuple[str, ...] = ()
    site_column: str | None = None
    sites: int = 3
    split: str = "iid"
    test: Path | None = None
    test_fraction: float = 0.25
    task: SimulatedTask = "propensity"
    seed_site: str | None = None
    group: str | None = None
    trees: int = 100
    depth: int = 6
    learning_rate: float = 0.1
    max_bin: int = 255
    seed: int = 0
    threads: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        if not _SPLITS.fullmatch(self.split) or self.alpha == 0:
            raise UsageError(
                "unknown --split",
                value=self.split,
                limit="iid, time or dirichlet:ALPHA with ALPHA above 0",
                fix="for example --split dirichlet:0.5",
            )
        if not 1 <= self.sites <= MAX_SITES:
            raise UsageError(
                "--sites is out of range",
                value=self.sites,
                limit=f"1 to {MAX_SITES}",
                fix="leave it at 3 if in doubt",
            )
        if not 0.0 < self.test_fraction < 1.0:
            raise UsageError(
                "--test-fraction is out of range",
                value=self.test_fraction,
                limit="above 0, below 1",
                fix="leave it at 0.25 if in doubt",
            )
        if self.task not in {"propensity", "lookalike"}:
            raise UsageError(
                "unknown --task",
                value=self.task,
                limit="propensity or lookalike",
                fix="leave it out for propensity",
            )
        if self.task == "lookalike" and self.seed_site is None:
            raise UsageError(
                "a lookalike starts from the seeds of one site",
                fix="name it with --seed-site",
            )
        if self.task == "propensity" and self.seed_site is not None:
            raise UsageError(
                "--seed-site belongs to a lookalike", fix="add --task lookalike, or leave it out"
            )
        if self.label in {self.site_column, self.group, *self.drop}:
            raise UsageError(
                "the label cannot be the site, the group or a dropped column as well",
                value=self.label,
                fix="choose another column for one of them",
            )
        if self.threads < 1:
            raise UsageError(
                "--threads is out of range",
                value=self.threads,
                limit="1 or more",
                fix="leave it out for one a core",
            )
        self._refuse_parameters()

    def _refuse_parameters(self) -> None:
        try:
            _ = self.parameters
        except ConfigError as error:
            what = error.what
            for parameter, flag in _FLAGS.items():
                what = what.replace(f"training parameter {parameter}", flag)
            raise UsageError(
                what, value=error.value, limit=error.limit, fix="choose a value within that range"
            ) from None

    @property
    def alpha(self) -> float | None:
        """Concentration of a Dirichlet split; None for the other splits."""
        match = _SPLITS.fullmatch(self.split)
        return float(match["alpha"]) if match and match["alpha"] else None

    @property
    def parameters(self) -> TrainingParameters:
        """The same parameters for every learner that is compared."""
        return TrainingParameters(
            n_estimators=self.trees,
            max_depth=self.depth,
            num_leaves=2**self.depth if 1 <= self.depth <= 12 else 2,  # noqa: PLR2004 - refused by max_depth
            learning_rate=self.learning_rate,
            max_bin=self.max_bin,
            seed=self.seed,
        )
