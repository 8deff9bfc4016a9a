"""The audit log: processor time of one signed entry, and of verifying it again without trust."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from fed_audience.audit import entries as e
from fed_audience.audit.fields import band
from fed_audience.audit.keys import LOG_KEY, KeyFile, VerifierKey
from fed_audience.audit.log import AuditLog, utc_now
from fed_audience.audit.verification import verify
from fed_audience.audit.witness import Witness

SITES = ("s0", "s1", "s2")
RUN = "benchmark"


def measure(entries: int = 3_000) -> list[dict[str, Any]]:
    """Append ``entries`` rounds of three sites to a log; raises AuditError unless it verifies."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        path = Path(folder) / "run.jsonl"
        with _begun(Path(folder), path) as log:
            began = time.process_time()
            for number in range(entries):
                _append_round(log, number)
            appending = time.process_time() - began
            log.append(e.RunEnded, status="interrupted")
        began = time.process_time()
        found = verify(path)
        verifying = time.process_time() - began
        return [
            {
                "entries": len(found.entries),
                "append_us": round(1e6 * appending / entries, 1),
                "verify_us": round(1e6 * verifying / len(found.entries), 1),
                "bytes": round(path.stat().st_size / len(found.entries)),
            }
        ]


def _begun(folder: Path, path: Path) -> AuditLog:
    coordinator = KeyFile.open(folder / "coordinator.pem", "benchmark/coordinator")
    key = VerifierKey(coordinator.name, LOG_KEY, coordinator.public_key)
    witnesses = []
    for site in SITES:
        (folder / site).mkdir()
        own = KeyFile.open(folder / f"{site}.pem", f"benchmark/{site}")
        witnesses.append(Witness(own, folder / site / "run.checkpoint", key, utc_now))
    log = AuditLog.begin(
        path,
        coordinator,
        witnesses,
        origin="fed-audience/benchmark/run",
        federation="benchmark",
        one_process=True,
        software="fed-audience 0",
        packages_sha256="0" * 64,
    )
    log.append(
        e.RunStarted,
        run=RUN,
        model="benchmark",
        task="propensity",
        manifest_sha256="1" * 64,
        configuration_sha256="2" * 64,
        features_sha256="3" * 64,
        sites=SITES,
        label_sites=SITES,
        rows=[{"site": site, "used": band(4_321), "withdrawn": band(0)} for site in SITES],
        secure=True,
        record=None,
    )
    return log


def _append_round(log: AuditLog, tree: int) -> None:
    log.append(
        e.RoundSummed,
        run=RUN,
        tree=tree,
        level=0,
        attempt=0,
        kind="StartTree",
        cohort_sha256="4" * 64,
        sent="5" * 64,
        received=[{"site": site, "kind": "RootHistogram", "digest": "6" * 64} for site in SITES],
        aggregate="7" * 64,
    )
