"""What a user may choose about a simulation."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from fed_audience.errors import ConfigError, UsageError
from fed_audience.federation.manifest import OBJECTIVES
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.dp.plan import PrivacyTerms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fed_audience.federation.manifest import Task
    from fed_audience.simulate.link import Link

MAX_SITES: Final = 500

_DEEPEST: Final = 12
_LEAVES: Final = frozenset({"num_leaves", "num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"})

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
    ``objective`` is by default the first of its ``task``'s. ``classes`` are those of a multiclass
    label, known once the table is read. ``options`` are further training parameters by name.
    ``compare`` measures what each brand gains by a base score, a feature or trees of its own,
    ``explain`` how far each feature moves the scores. ``epsilon`` trains the federated model by the
    private recipe, over public ranges (column, low, high) and categories (column, values); what is
    not declared is read off the table. ``budget_book`` is charged for it. ``link`` asks how long
    the federated training would take between machines.
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
    task: Task = "propensity"
    objective: str | None = None
    classes: int = 2
    weight: str | None = None
    compare: bool = False
    explain: bool = False
    seed_site: str | None = None
    group: str | None = None
    trees: int = 100
    depth: int = 6
    learning_rate: float = 0.1
    max_bin: int = 255
    seed: int = 0
    threads: int = os.cpu_count() or 1
    options: tuple[tuple[str, Any], ...] = ()
    secure: bool = True
    epsilon: float | None = None
    delta: float = 1e-6
    colluders: int | None = None
    public_ranges: tuple[tuple[str, float, float], ...] = ()
    public_categories: tuple[tuple[str, tuple[str, ...]], ...] = ()
    budget_book: Path | None = None
    link: Link | None = None

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
        self._refuse_task()
        if self.label in {self.site_column, self.group, self.weight, *self.drop}:
            raise UsageError(
                "the label cannot be the site, the group, the weight or a dropped column as well",
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
        self._refuse_privacy()

    def _refuse_task(self) -> None:
        if self.task not in OBJECTIVES:
            raise UsageError(
                "unknown --task",
                value=self.task,
                limit=", ".join(OBJECTIVES),
                fix="leave it out for propensity",
            )
        if self.learns not in OBJECTIVES[self.task]:
            raise UsageError(
                f"--task {self.task} cannot be learnt with this --objective",
                value=self.learns,
                limit=", ".join(OBJECTIVES[self.task]),
                fix="choose one of these, or the --task of the objective",
            )
        if self.positive is not None and self.learns != "binary":
            raise UsageError(
                "--positive belongs to a label of two classes", fix="leave it out, or the --task"
            )
        if self.task == "lookalike" and self.seed_site is None:
            raise UsageError(
                "a lookalike starts from the seeds of one site",
                fix="name it with --seed-site",
            )
        if self.task != "lookalike" and self.seed_site is not None:
            raise UsageError(
                "--seed-site belongs to a lookalike", fix="add --task lookalike, or leave it out"
            )

    @property
    def terms(self) -> PrivacyTerms | None:
        """What a private run promises; None for a run that is not private."""
        if self.epsilon is None:
            return None
        return PrivacyTerms(self.epsilon, self.delta, self.colluders)

    def _refuse_privacy(self) -> None:
        if self.epsilon is None:
            given = [
                (self.colluders is not None, "--colluders"),
                (bool(self.public_ranges), "--public-range"),
                (bool(self.public_categories), "--public-categories"),
                (self.budget_book is not None, "--budget-book"),
            ]
            for asked, flag in given:
                if asked:
                    raise UsageError(f"{flag} belongs to --epsilon", fix="add --epsilon 1")
            return
        for asked, flag, fix in (
            (self.task != "propensity" or self.learns != "binary", "--task", "predict yes or no"),
            (self.weight is not None, "--weight", "let every row weigh 1"),
            (self.group is not None, "--group", "make it one row a customer: a row is protected"),
            (self.compare, "--compare", "its brands' own trees would look at the rows again"),
            (self.explain, "--explain", "its sums would leave without noise"),
            (bool(self.options), "--param", "the private recipe has parameters of its own"),
        ):
            if asked:
                raise UsageError(f"--epsilon does not go with {flag}", fix=fix)
        try:
            _ = self.terms
        except ConfigError as error:
            raise UsageError(
                error.what, value=error.value, limit=error.limit, fix=error.fix
            ) from None

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
    def learns(self) -> str:
        """Name of the objective."""
        return self.objective or OBJECTIVES[self.task][0]

    @property
    def parameters(self) -> TrainingParameters:
        """The same parameters for every learner that is compared."""
        options: dict[str, Any] = {
            "objective": self.learns,
            "num_class": self.classes if self.learns == "multiclass" else 1,
            "n_estimators": self.trees,
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            "seed": self.seed,
        }
        chosen = dict(self.options)
        if not _LEAVES & chosen.keys():
            # As many as the depth allows; another depth is refused by its own name.
            deepest = self.depth if 1 <= self.depth <= _DEEPEST else 1
            options["num_leaves"] = 2**deepest
        return TrainingParameters.from_options(options | chosen)


def task_of(task: str | None, objective: str | None) -> Task:
    """Task that is meant where only the objective is named; propensity where neither is."""
    if task is None:
        task = next((t for t, names in OBJECTIVES.items() if objective in names), "propensity")
    return cast("Task", task)


def parse_options(texts: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Read `--param NAME=VALUE`; monotone_constraints as FEATURE:+1,FEATURE:-1. UsageError."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UsageError(
                "--param is not NAME=VALUE", value=text, fix="for example --param lambda_l1=0.5"
            )
        if name in _FLAGS or name in {"seed", "objective"}:
            raise UsageError(
                f"--param {name} has a flag of its own",
                value=text,
                fix=f"use {_FLAGS.get(name, f'--{name}')} instead",
            )
        if name in found:
            raise UsageError(f"--param {name} is given twice", value=text, fix="give it once")
        found[name] = _signs(value) if name == "monotone_constraints" else _value(value)
    return tuple(found.items())


def _signs(text: str) -> dict[str, int]:
    signs = {}
    for part in text.split(","):
        name, colon, sign = (piece.strip() for piece in part.rpartition(":"))
        if not (name and colon and sign in {"+1", "1", "-1"}):
            raise UsageError(
                "--param monotone_constraints is not FEATURE:+1,FEATURE:-1",
                value=text,
                fix="name each feature with +1 (rising) or -1 (falling)",
            )
        signs[name] = int(sign)
    return signs


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def parse_ranges(texts: Sequence[str]) -> tuple[tuple[str, float, float], ...]:
    """Read `--public-range COLUMN=LOW:HIGH`. Raises UsageError."""
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, bounds = (part.strip() for part in text.rpartition("="))
        low, colon, high = (part.strip() for part in bounds.partition(":"))
        try:
            numbers = float(low), float(high)
        except ValueError:
            numbers = None
        if not (name and colon and numbers):
            raise UsageError(
                "--public-range is not COLUMN=LOW:HIGH",
                value=text,
                fix="for example --public-range age=18:100",
            )
        if name in found:
            raise UsageError("--public-range names a column twice", value=name, fix="name it once")
        found[name] = numbers
    return tuple((name, *bounds) for name, bounds in found.items())


def parse_categories(texts: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read `--public-categories COLUMN=A|B|C`. Raises UsageError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        categories = tuple(value.strip() for value in values.split("|") if value.strip())
        if not (name and categories):
            raise UsageError(
                "--public-categories is not COLUMN=A|B|C",
                value=text,
                fix="for example --public-categories 'channel=web|app|shop'",
            )
        if name in found:
            raise UsageError(
                "--public-categories names a column twice", value=name, fix="name it once"
            )
        found[name] = categories
    return tuple(found.items())
