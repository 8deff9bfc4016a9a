"""Retells a verified log as a record of processing (GDPR Art. 30): who, and for what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fed_audience.audit import entries as e
from fed_audience.audit.export import training_of

if TYPE_CHECKING:
    from fed_audience.audit.verification import Verification

_PLACE = {"type", "sequence", "checkpoint", "query"}
"""Fields of an entry that say where it stands in the log, and nothing of the processing."""


def processing_record(log: Verification) -> dict[str, Any]:
    """Return the record of a run, or of a pair's overlaps; counts of people are bands.

    Raises AuditError for a log without a finished training that compares nothing either.
    """
    compared = _told(log, e.OverlapCompared)
    record = _of_overlaps(log, compared) if compared else _of_training(log)
    return {
        "federation": log.opened.federation,
        "declared": _declared(log),
        **record,
        "log": {"origin": log.opened.origin, "entries": len(log.entries), "root": log.root},
    }


def processing_markdown(log: Verification) -> str:
    """Return ``processing_record`` as a page of Markdown."""
    record = processing_record(log)
    tables = _overlap_tables(record) if "compared" in record else _training_tables(record)
    source = (
        f"Federation {record['federation']}, from {record['started']} to {record['ended']}. "
        f"Taken from the audit log `{record['log']['origin']}`, {record['log']['entries']} "
        f"entries, root `{record['log']['root']}`."
    )
    parts = [
        f"# Record of processing: {record['run']}",
        source,
        "## Declared (GDPR Art. 30)",
        _declared_lines(record["declared"]),
        *tables,
    ]
    return "\n\n".join(parts) + "\n"


def _of_training(log: Verification) -> dict[str, Any]:
    started, trained = training_of(log)
    rounds = Counter(type(entry) for entry in log.entries)
    promised = _told(log, e.PrivacyPromised)
    return {
        "run": started.run,
        "started": started.at,
        "ended": next(entry.at for entry in log.entries if isinstance(entry, e.RunEnded)),
        "sites": [row.model_dump(mode="json") for row in started.rows],
        "model": {
            "name": trained.model,
            "task": started.task,
            "sha256": trained.model_sha256,
            "held_by": [one.site for one in log.entries if isinstance(one, e.ModelRegistered)],
        },
        "privacy": promised[0] if promised else None,
        "rounds": rounds[e.RoundSummed],
        "scored": _told(log, e.Scored, "site", "at", "customers"),
        "delivered": _told(
            log,
            e.AudienceDelivered,
            *("audience", "site", "destination", "purpose", "at", "added", "removed", "withdrawn"),
        ),
        "overrides": _told(log, e.Overridden, "rule", "subject", "reason", "person"),
    }


def _of_overlaps(log: Verification, compared: list[dict[str, Any]]) -> dict[str, Any]:
    released = _told(log, e.OverlapReleased)
    return {
        "run": log.opened.origin.rpartition("/")[2],
        "started": compared[0]["at"],
        "ended": (compared + released)[-1]["at"],
        "compared": compared,
        "released": released,
    }


def _told(log: Verification, kind: type[e.Entry], *fields: str) -> list[dict[str, Any]]:
    """Return ``fields`` of every entry of ``kind``, or all that speak of the processing."""
    found = [one.model_dump(mode="json") for one in log.entries if isinstance(one, kind)]
    return [
        {name: one[name] for name in (fields or (key for key in one if key not in _PLACE))}
        for one in found
    ]


def _declared(log: Verification) -> dict[str, Any] | None:
    """Return what was declared last."""
    records = [
        one.record for one in log.entries if isinstance(one, e.RunStarted | e.ProcessingDeclared)
    ]
    return records[-1].model_dump(mode="json") if records and records[-1] else None


def _training_tables(record: dict[str, Any]) -> list[str]:
    model, privacy = record["model"], record["privacy"]
    made = (
        f"{model['name']}, {model['task']}, sha256 `{model['sha256']}`, from "
        f"{record['rounds']} rounds; held by {', '.join(model['held_by'])}."
    )
    noise = "Sums without noise."
    if privacy:
        noise = (
            f"Noise at the sites: ({privacy['epsilon']}, {privacy['delta']})-differentially "
            "private for one row at one site; counts of rows are not told."
        )
    return [
        "## Model",
        f"{made} {noise}",
        _table("## Rows by site", ("site", "used", "withdrawn"), record["sites"]),
        _table("## Scored", ("site", "at", "customers"), record["scored"]),
        _table(
            "## Delivered",
            ("audience", "site", "destination", "purpose", "at", "added", "removed", "withdrawn"),
            record["delivered"],
        ),
        _table("## Overrides", ("rule", "subject", "reason", "person"), record["overrides"]),
    ]


def _overlap_tables(record: dict[str, Any]) -> list[str]:
    asked = ("at", "site", "partner", "side", "purpose", "matched_by", "audience", "listed")
    return [
        _table("## Compared with a partner's customers", asked, record["compared"]),
        _table("## Told to a brand", ("at", "site", "partner", "overlap"), record["released"]),
    ]


def _declared_lines(declared: dict[str, Any] | None) -> str:
    if declared is None:
        return "Nothing was declared: fill in `audit.record` in federation.yml."
    lines = []
    for name, value in declared.items():
        said = "; ".join(value) if isinstance(value, list) else value
        lines.append(f"- **{name.replace('_', ' ')}**: {said or 'none'}")
    return "\n".join(lines)


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    if not rows:
        return f"{title}\n\nNone."
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    cells = ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join([title, "", *head, *cells])


def _cell(value: object) -> str:
    return str("" if value is None else value).replace("|", "\\|")
