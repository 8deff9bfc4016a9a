"""XGBoost's federated plugin: one process a site and its server, plaintext over loopback.

Version 3.2 is the last whose wheel holds the plugin.
"""

from __future__ import annotations

import multiprocessing
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from benchmarks.learners import Fit, Task, UnavailableError, quality
from benchmarks.learners.xgboost_hist import MAX_BIN, settings, types
from benchmarks.measuring import Seconds, peak_bytes, restart_peak

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from benchmarks.datasets import Table


@dataclass(frozen=True, slots=True)
class _Part:
    """What a site says of its part. The clock's zero is the same in all processes."""

    began: Seconds
    binned: Seconds
    ended: Seconds
    baseline: int
    peak: int
    model: bytes


def fit(table: Table, task: Task) -> Fit:
    """Train over ``task.sites`` processes with one thread each.

    Elapsed time runs from the moment all sites hold their rows to the end of the last one;
    processor time is that of the sites and the server.
    """
    if not xgboost.build_info().get("USE_FEDERATED"):
        raise UnavailableError(f"xgboost {xgboost.__version__} is built without the plugin")
    from xgboost.federated import run_federated_server  # noqa: PLC0415 - absent in other builds

    port = _free_port()
    run_federated_server(n_workers=task.sites, port=port, blocking=False)
    context = multiprocessing.get_context("spawn")
    replies = context.SimpleQueue()
    ready = context.Barrier(task.sites)
    borders = np.linspace(0, table.rows, task.sites + 1).astype(int).tolist()
    server = Seconds.here()
    sites = [
        context.Process(
            target=_site, args=(table, task, number, borders, port, ready, replies), daemon=True
        )
        for number in range(task.sites)
    ]
    for site in sites:
        site.start()
    parts: list[_Part] = [replies.get() for _ in sites]
    for site in sites:
        site.join()
    serving = Seconds.here().since(server)
    booster = xgboost.Booster()
    booster.load_model(bytearray(parts[0].model))

    def predict(start: int, stop: int) -> Any:
        rows = xgboost.DMatrix(
            table.matrix(start, stop), feature_types=types(table), enable_categorical=True
        )
        return booster.predict(rows)

    began = min(part.began.wall for part in parts)
    binned = max(part.binned.wall for part in parts)
    ended = max(part.ended.wall for part in parts)
    binning = sum(part.binned.cpu - part.began.cpu for part in parts)
    boosting = sum(part.ended.cpu - part.binned.cpu for part in parts) + serving.cpu
    return Fit(
        binning=Seconds(binned - began, binning),
        boosting=Seconds(ended - binned, boosting),
        baseline=sum(part.baseline for part in parts),
        peak=sum(part.peak for part in parts),
        quality=quality(table, task, predict),
    )


def _site(
    table: Table,
    task: Task,
    number: int,
    borders: list[int],
    port: int,
    ready: Barrier,
    replies: multiprocessing.SimpleQueue[_Part],
) -> None:
    start, stop = borders[number], borders[number + 1]
    values, labels = table.matrix(start, stop), table.labels(start, stop)
    communicator: dict[str, Any] = {
        "dmlc_communicator": "federated",
        "federated_server_address": f"localhost:{port}",
        "federated_world_size": task.sites,
        "federated_rank": number,
    }
    with xgboost.collective.CommunicatorContext(**communicator):
        ready.wait()
        baseline = restart_peak()
        began = Seconds.here()
        rows = xgboost.QuantileDMatrix(
            values,
            labels,
            max_bin=MAX_BIN,
            nthread=1,
            feature_types=types(table),
            enable_categorical=True,
        )
        binned = Seconds.here()
        booster = xgboost.train(settings(1), rows, task.trees)
        ended = Seconds.here()
        replies.put(
            _Part(began, binned, ended, baseline, peak_bytes(), bytes(booster.save_raw("ubj")))
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
