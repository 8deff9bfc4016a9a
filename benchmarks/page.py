"""README.md: the tables between the markers, drawn from the entries of a run."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from benchmarks.goals import BOTH, beyond_codes, differences, find, ratio
from benchmarks.plan import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benchmarks.results import Entry

END: Final = "<!-- end -->"
NAMES: Final = {
    "ours": "fed-audience",
    "first_histogram": "fed-audience",
    "lightgbm_pooled": "LightGBM",
    "xgboost_hist": "XGBoost hist",
    "xgboost_federated": "XGBoost federated",
    "sklearn_hist": "scikit-learn",
    "fedtree_horizontal": "FedTree",
}
_TIMED: Final = ("one_thread", "two_threads", "wide", "large", "federated")


def begin(part: str) -> str:
    """Return the marker before the tables of a part."""
    return f"<!-- generated: {part} -->"


def fill(path: Path, part: str, text: str) -> None:
    """Put ``text`` between the markers of the part."""
    before, marker, rest = path.read_text(encoding="utf-8").partition(begin(part))
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{marker}\n{text}\n{END}{after}", encoding="utf-8")


def circumstances(content: dict[str, Any]) -> str:
    """Say in a line under which circumstances a part was measured."""
    machine = content["machine"]
    listed = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}; load before the run {machine['load'][0]}. {listed}. "
        f"Commit {content['commit']}, {content['began'][:10]}. Command: `{content['command']}`."
    )


def tables(content: dict[str, Any], entries: Sequence[Entry]) -> str:
    """Draw all tables, in Markdown."""
    parts = [circumstances(content), goal_table(content["goals"])]
    for block in BLOCKS:
        chosen = [entry for entry in entries if entry.cell.block == block]
        if not chosen:
            continue
        parts.append(f"### {BLOCKS[block][0].upper()}{BLOCKS[block][1:]}")
        if block in _TIMED:
            parts.append(time_table(chosen))
        elif block == "quality":
            parts.append(quality_table(chosen))
        elif block == "demand":
            parts.append(demand_table(chosen))
        else:
            parts.append(start_table(chosen))
    return "\n\n".join(parts)


def goal_table(goals: Iterable[dict[str, Any]]) -> str:
    """Draw what the project is held to beside what was measured."""
    rows = []
    for goal in goals:
        form = goal["form"]
        value = "-" if goal["value"] is None else format(goal["value"], form)
        given = (goal["must"], goal["aim"])
        bounds = ["-" if bound is None else format(bound, form) for bound in given]
        rows.append([goal["what"], *bounds, value, goal["verdict"]])
    return table(["what", "at least", "aim", "measured", "verdict"], rows)


def time_table(entries: Sequence[Entry]) -> str:
    """Draw seconds by learner, and the ratio to LightGBM (or to ours) with as many threads."""
    rows = []
    for entry in entries:
        cell = entry.cell
        who = NAMES[cell.learner]
        if cell.task.sites > 1:
            who += f", {cell.task.sites} sites"
        if cell.task.trees != max(other.cell.task.trees for other in entries):
            who += f", {cell.task.trees} trees"
        if not entry.samples:
            rows.append([who, str(cell.task.threads), entry.problem, *[""] * 6])
            continue
        reference = find(entries, cell.block, "lightgbm_pooled", threads=cell.task.threads)
        if reference is None:
            reference = find(entries, cell.block, "ours", sites=cell.task.sites)
        scale = reference.cell.task.trees / cell.task.trees if reference else 1.0
        rows.append(
            [
                who,
                str(cell.task.threads),
                _seconds(entry.median("binning")) if entry.samples[0]["binning"] else "within",
                _seconds(entry.median("boosting")),
                _seconds(entry.median(*BOTH)),
                _times(ratio(entry, reference, "boosting"), scale),
                _times(ratio(entry, reference, *BOTH), scale),
                _times(ratio(entry, reference, *BOTH, clock="cpu"), scale),
                _memory(entry),
            ]
        )
    head = ["", "threads", "binning s", "boosting s", "together s"]
    against = "LightGBM" if find(entries, entries[0].cell.block, "lightgbm_pooled") else "ours"
    head += [f"boosting / {against}", "together", "processor time", "peak MB (bytes a row)"]
    text = table(head, rows)
    qualities = ", ".join(
        f"{NAMES[entry.cell.learner]} {quality:.4f}"
        for entry in entries
        if entry.cell.task.sites == entries[0].cell.task.sites
        and entry.cell.task.threads == entries[0].cell.task.threads
        and (quality := entry.middle("quality")) is not None
    )
    memory = find(entries, "large", "ours", threads=2)
    extra = (
        f"\n\nOurs beyond the codes: {beyond_codes(memory):.0f} bytes a row while boosting, "
        f"{beyond_codes(memory, 'peak'):.0f} over the whole run, rows read from disk."
        if memory
        else ""
    )
    return f"{text}\n\nAUC on 50,000 further rows: {qualities}.{extra}"


def quality_table(entries: Sequence[Entry]) -> str:
    """Draw AUC of ours minus LightGBM's, by table."""
    rows = []
    found = differences(entries)
    for name in dict.fromkeys(entry.cell.table for entry in entries):
        chosen = [entry for entry in entries if entry.cell.table == name]
        if name not in found:
            rows.append([name, "", "", chosen[0].problem, "", ""])
            continue
        mine, theirs = (
            [entry.middle("quality") or 0.0 for entry in chosen if entry.cell.learner == learner]
            for learner in ("ours", "lightgbm_pooled")
        )
        rows.append(
            [
                name,
                f"{statistics.mean(mine):.4f}",
                f"{statistics.mean(theirs):.4f}",
                f"{statistics.mean(found[name]):+.4f}",
                f"{min(found[name]):+.4f}",
                str(len(found[name])),
            ]
        )
    return table(["table", "ours", "LightGBM", "difference", "worst seed", "seeds"], rows)


def demand_table(entries: Sequence[Entry]) -> str:
    """Draw the RMSE of ours and of LightGBM."""
    rows = [
        [
            NAMES[entry.cell.learner],
            f"{rmse:.2f}" if (rmse := entry.middle("quality")) else entry.problem,
        ]
        for entry in entries
    ]
    return table(["", "RMSE, weeks after 117"], rows)


def start_table(entries: Sequence[Entry]) -> str:
    """Draw seconds from the start, with what went before the training."""
    rows = []
    for entry in entries:
        who = NAMES[entry.cell.learner]
        if entry.cell.uncompiled:
            who += ", kernels not yet compiled"
        first = entry.cell.learner == "first_histogram"
        rows.append(
            [
                who,
                entry.problem or _seconds(None if first else entry.median("importing")),
                _seconds(entry.median(*BOTH)),
                _seconds(entry.median(*BOTH) if first else entry.median("importing", *BOTH)),
                _seconds(
                    entry.median(*BOTH, clock="cpu")
                    if first
                    else entry.median("importing", *BOTH, clock="cpu")
                ),
            ]
        )
    return table(["", "import s", "then s", "together s", "processor s"], rows)


def _memory(entry: Entry) -> str:
    middle = statistics.median(one["peak"] for one in entry.samples)
    own = statistics.median(one["peak"] - one["baseline"] for one in entry.samples)
    return f"{middle / 2**20:,.0f} ({own / entry.cell.rows:,.0f})"


def _times(value: float | None, scale: float) -> str:
    return "-" if value is None else f"{value * scale:.2f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
