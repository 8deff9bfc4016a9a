"""Break model texts and see what the strict reader makes of them.

    python -m tests.gbdt.models.fuzz_reader --count 100000      # which is: make fuzz
    python -m tests.gbdt.models.fuzz_reader --only 4711         # print one input

Texts of our own and of LightGBM, of every objective, are broken in one to three places. The reader
must refuse each with ModelFormatError or accept it, in time; what it accepts must load in
``lightgbm.Booster`` in a process of its own, predict finite numbers there, and pass through
everything that reads a checked text here.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np

from fed_audience.errors import ModelFormatError
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.explanation import importance, partial_dependence
from fed_audience.gbdt.models.cover_levels import told_cover
from fed_audience.gbdt.models.difference import model_difference
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import read_model
from fed_audience.gbdt.tree import NodeSums, Split, Tree
from tests.fuzz_results import keep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from fed_audience.gbdt.models.reader import ModelText

SECONDS: Final = 10
"""What a single text of some kilobytes may take before it counts as a hang."""

BATCH: Final = 500

LIGHTGBM: Final[dict[str, dict[str, Any]]] = {
    "binary": {"objective": "binary"},
    "regression": {"objective": "regression", "boosting": "goss"},
    "absolute error": {"objective": "regression_l1"},
    "cross entropy": {"objective": "cross_entropy"},
    "poisson": {"objective": "poisson", "bagging_fraction": 0.5, "bagging_freq": 1},
    "tweedie": {"objective": "tweedie", "tweedie_variance_power": 1.3},
    "multiclass": {"objective": "multiclass", "num_class": 3, "boosting": "dart"},
    "monotone": {"objective": "binary", "monotone_constraints": [1, 0, 0, 0]},
    "quantised": {"objective": "binary", "use_quantized_grad": True},
    "zero is missing": {"objective": "binary", "zero_as_missing": True},
    "nothing is missing": {"objective": "regression", "use_missing": False},
    "one leaf": {"objective": "binary", "min_data_in_leaf": 10**6},
}
"""Options under which LightGBM writes the texts that the reader must know."""

NUMBERS: Final = (
    *("-1", "0", "1", "2", "7", "8", "-8", "32", "99999999999", "4294967295", "2147483647"),
    *(
        "1e400",
        "-0.0",
        "nan",
        "inf",
        "1e-320",
        "1e308",
        "-1e308",
        "1e100",
        "1_0",
        "0x8",
        "٨",
        "+1",
        "",
    ),
)
CHARACTERS: Final = (0, 9, 13, 32, 45, 46, 58, 61, 91, 101, 0x85, 233, 8232, 0xD800)


def grown(
    trees: int, *, seed: int = 0, objective: str = "binary sigmoid:1", classes: int = 1
) -> Model:
    """Trees of seven splits over three numbers and a category."""
    draw = random.Random(seed)  # noqa: S311 - a test needs repetition, not secrecy
    bins = (NumericBins((-1.5, 0.25, 7.0)), NumericBins((1e-3,)), CategoryBins(tuple(range(50))))

    def split() -> Split:
        feature = draw.randrange(3)
        if feature == 2:
            return Split(2, 1.0, left_codes=tuple(sorted(draw.sample(range(50), 3))))
        return Split(feature, 1.0, bin=draw.randrange(bins[feature].size - 1))

    return Model(
        features=(Feature("age"), Feature("basket"), Feature("region", categorical=True)),
        bins=bins,
        trees=tuple(
            Tree(
                splits=tuple(split() for _ in range(7)),
                left=(1, 3, 5, -1, -3, -5, -7),
                right=(2, 4, 6, -2, -4, -6, -8),
                leaf_values=tuple(draw.gauss(0, 1) for _ in range(8)),
                internal_sums=(NodeSums(0, 8),) * 7,
                leaf_sums=(NodeSums(0, 1),) * 8,
            )
            for _ in range(trees)
        ),
        base_scores=(-2.0,) * classes,
        learning_rate=0.1,
        objective=objective,
    )


def lightgbm_text(name: str) -> str:
    """Text of a small booster trained with ``LIGHTGBM[name]``, trailer included."""
    draw = np.random.default_rng(3)
    values = draw.normal(size=(400, 4))
    values[:, 3] = draw.integers(0, 60, 400)
    values[draw.random(values.shape) < 0.1] = np.nan
    options = LIGHTGBM[name]
    label = draw.integers(0, options.get("num_class", 2), 400)
    fixed = {"verbose": -1, "num_threads": 1, "num_leaves": 8, "min_data_in_leaf": 10}
    data = lightgbm.Dataset(values, label, categorical_feature=[3], params={**fixed, **options})
    return str(lightgbm.train({**fixed, **options}, data, 3).model_to_string())


@cache
def sound_texts() -> tuple[str, ...]:
    """What is broken: every objective and level of cover of ours, and LightGBM's own."""
    ours = [to_text(grown(3, seed=k, objective=o)) for k, o in enumerate(("poisson", "tweedie"))]
    ours += [to_text(grown(3), cover=level) for level in ("none", "coarse", "full")]  # type: ignore[arg-type]
    three = grown(6, objective="multiclass num_class:3", classes=3)
    ours += [to_text(three), to_text(replace(three, trees=()))]
    return (*ours, *map(lightgbm_text, LIGHTGBM))


def resized(text: str) -> str:
    """Repair ``tree_sizes``, so that an edit inside a tree is judged for itself."""
    head, *blocks = text.split("Tree=")
    if "end of trees" not in text or not blocks:
        return text
    blocks[-1], *tail = blocks[-1].split("end of trees")
    sizes = " ".join(str(len(f"Tree={b}".encode("utf-8", "surrogatepass"))) for b in blocks)
    lines = [f"tree_sizes={sizes}" if x.startswith("tree_sizes=") else x for x in head.split("\n")]
    return "Tree=".join(["\n".join(lines), *blocks]) + "end of trees".join(["", *tail])


def mutate(draw: random.Random, text: str, other: str) -> str:
    """Break ``text`` in one to three places, as accidents and attackers do."""
    lines = text.split("\n")
    for _ in range(draw.randint(1, 3)):
        _break(draw, lines, other.split("\n"))
    broken = "\n".join(lines)
    if draw.random() < 0.02:
        broken = broken[: draw.randrange(len(broken) + 1)]
    return resized(broken) if draw.random() < 0.8 else broken


def _break(draw: random.Random, lines: list[str], others: Sequence[str]) -> None:
    # Seldom behind the trees: what stands there is cut off before LightGBM sees the text.
    end = lines.index("end of trees") + 1 if "end of trees" in lines else len(lines)
    at = draw.randrange(len(lines) if draw.random() < 0.05 else end)
    line = lines[at]
    key = line.partition("=")[0] + "="
    match draw.randrange(24):
        case 0 if len(lines) > 1:
            del lines[at]
        case 1:
            lines.insert(at, line)
        case 2:
            place = draw.randrange(len(lines))
            lines[at], lines[place] = lines[place], line
        case 3:
            cut = draw.randrange(len(line) + 1)
            lines[at] = line[:cut] + chr(draw.choice(CHARACTERS)) + line[cut:]
        case 4:
            # The same line of another model: right in form, wrong here.
            lines[at] = draw.choice([x for x in others if x.startswith(key)] or [line])
        case 5:
            start = draw.randrange(len(others))
            lines[at : at + draw.randrange(20)] = others[start : start + draw.randrange(20)]
        case 6:
            words = line.removeprefix(key).split(" ")
            draw.shuffle(words)
            lines[at] = key + " ".join(words)
        case _:
            # The telling ones: another number in the place of a number.
            words = line.removeprefix(key).split(" ")
            place = draw.randrange(len(words))
            random_number = str(draw.randrange(-20, 300))
            put = draw.choice([*NUMBERS, random_number, draw.choice(words)])
            words = (
                [put] * len(words)
                if draw.random() < 0.05
                else [*words[:place], put, *words[place + 1 :]]
            )
            lines[at] = (key if "=" in line else "") + " ".join(words)


def broken_text(seed: int, number: int) -> str:
    """Input ``number`` of the run ``seed``, the same on every machine that has these texts."""
    draw = random.Random(f"{seed}:{number}")  # noqa: S311 - a test needs repetition, not secrecy
    texts = sound_texts()
    return mutate(draw, draw.choice(texts), draw.choice(texts))


LOADER: Final = """
import sys, json, math, numpy, lightgbm
for number, text, counted in json.load(open(sys.argv[1], encoding="utf-8")):
    print(number, flush=True)
    booster = lightgbm.Booster(model_str=text, params={"verbose": -1})
    columns = booster.num_feature()
    draw = numpy.random.default_rng(0).normal(size=(4, columns)) * 10
    edges = (0.0, -0.0, 1e-36, 1e300, -1e300, math.inf, -math.inf, math.nan)
    edges = [[edge] * columns for edge in edges]
    values = numpy.vstack([edges, draw, numpy.floor(abs(draw))])
    raw = booster.predict(values, raw_score=True)
    assert numpy.isfinite(raw).all(), "a raw score is not finite"
    assert not numpy.isnan(booster.predict(values)).any(), "a prediction is not a number"
    shares = booster.predict(values, pred_contrib=True)
    assert not counted or numpy.isfinite(shares).all(), "a contribution is not finite"
    booster.predict(values, pred_leaf=True)
    booster.feature_importance("gain")
    booster.dump_model()
print("done")
"""


@dataclass
class Outcome:
    """What became of the inputs. ``problems``: number of the input, and what went wrong."""

    refusals: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    loaded: int = 0
    slowest: float = 0.0
    problems: list[tuple[int, str]] = field(default_factory=list)


def fuzz(count: int, *, seed: int = 0, first: int = 0, progress: bool = False) -> Outcome:
    """Try ``count`` inputs from number ``first`` on."""
    outcome = Outcome()
    waiting: list[tuple[int, str, bool]] = []
    seen: set[str] = set()
    before = signal.signal(signal.SIGALRM, _too_slow)
    for number in range(first, first + count):
        text = broken_text(seed, number)
        began = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            model = read_model(text)
            _use(model)
        except ModelFormatError as error:
            outcome.refusals[error.what.split(": ", 1)[1]] += 1
        except Exception as error:  # noqa: BLE001 - whatever else it is, is a finding
            outcome.problems.append((number, f"{type(error).__name__}: {error}"))
        else:
            outcome.accepted += 1
            if model.body not in seen:
                seen.add(model.body)
                counted = all(min(tree.leaf_count) > 0 for tree in model.trees)
                waiting.append((number, model.body, counted))
        finally:
            signal.alarm(0)
        outcome.slowest = max(outcome.slowest, time.perf_counter() - began)
        if len(waiting) >= BATCH or number == first + count - 1:
            _load(waiting, outcome)
            waiting = []
            if progress:
                done, bad = number - first + 1, len(outcome.problems)
                say(f"{done:,} inputs, {outcome.accepted:,} accepted, {bad} problems")
    signal.signal(signal.SIGALRM, before)
    return outcome


def _use(model: ModelText) -> None:
    """Everything of ours that works on a checked text must work on this one."""
    told_cover(model.trees)
    importance(model)
    for feature in model.features:
        found = partial_dependence(model, feature)
        if not (np.isfinite(found.values).all() and np.isfinite(found.missing).all()):
            raise ArithmeticError("partial dependence is not finite")
    if not model_difference(model, model).same:
        raise ArithmeticError("a model differs from itself")


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _load(waiting: list[tuple[int, str, bool]], outcome: Outcome) -> None:
    """Load accepted texts in a process of their own; go on behind one that ends it."""
    while waiting:
        with tempfile.TemporaryDirectory() as folder:
            texts = Path(folder, "accepted.json")
            texts.write_text(json.dumps(waiting), encoding="utf-8")
            try:
                done = subprocess.run(
                    [sys.executable, "-c", LOADER, str(texts)],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=SECONDS * 30,
                    # Thousands of tiny models: a thread pool for each costs more than it saves.
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                said, complaint = done.stdout, (done.stderr.strip() or "no word")[-300:]
                status = f"exit {done.returncode}"
            except subprocess.TimeoutExpired as expired:
                said, complaint = (expired.stdout or b"").decode(), ""
                status = "a hang"
        numbers = [int(word) for word in said.split() if word.isdigit()]
        if said.endswith("done\n"):
            outcome.loaded += len(waiting)
            return
        died = next(i for i, (number, _, _) in enumerate(waiting) if number == numbers[-1])
        outcome.loaded += died
        outcome.problems.append((numbers[-1], f"LightGBM: {status}, {complaint}"))
        waiting = waiting[died + 1 :]


def say(line: str) -> None:
    """Print a line at once, for whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run from the command line; exit code 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--results", type=Path, help="a JSON to put what was found into")
    parser.add_argument("--only", type=int, help="print this input and try nothing")
    chosen = parser.parse_args()
    if chosen.only is not None:
        say(broken_text(chosen.seed, chosen.only))
        return 0
    began, started = datetime.now(UTC), time.perf_counter()
    outcome = fuzz(chosen.count, seed=chosen.seed, progress=True)
    for reason, times in outcome.refusals.most_common():
        say(f"{times:8,}  refused: {reason}")
    say(f"{outcome.accepted:8,}  accepted, {outcome.loaded:,} different ones loaded by LightGBM")
    say(f"slowest input {outcome.slowest:.3f} s, {time.perf_counter() - started:.0f} s in all")
    for number, what in outcome.problems:
        say(f"PROBLEM with input {number} of seed {chosen.seed}: {what}")
    if chosen.results is not None:
        command = f"python -m tests.gbdt.models.fuzz_reader --count {chosen.count}"
        found = {
            "inputs": chosen.count,
            "seed": chosen.seed,
            "refused": dict(outcome.refusals.most_common()),
            "accepted": outcome.accepted,
            "loaded_by_lightgbm": outcome.loaded,
            "slowest_seconds": round(outcome.slowest, 3),
            "problems": outcome.problems,
        }
        keep(chosen.results, "reader", command, began, found)
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
