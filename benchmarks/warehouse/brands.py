"""A generated brand in a warehouse of each engine, and a model trained on some of its rows."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.learners import UnavailableError
from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.bins import CategoryBins, Feature, FeatureBins, NumericBins
from fed_audience.gbdt.bins.categories import category_hashes
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, quoted
from tests.postgres_server import NoServerError, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.federation import TrainingResult
    from fed_audience.warehouse.protocol import Warehouse

KEY: Final = b"the key of the benchmark"
FEATURES: Final = Relation("main", "features")
TEXTS: Final = 6
"""So many of the features are text, the others numbers."""

_BLOCK: Final = 100_000
_MEMORY: Final = "64MB"
"""Of DuckDB, which else keeps every block of the file that it has read."""


def rows_of(start: int, stop: int, features: int) -> pa.Table:
    """Return generated customers ``start`` to ``stop``, with a label that some features tell."""
    rng = np.random.default_rng(start)
    rows = stop - start
    numbers = rng.normal(size=(features - TEXTS, rows))
    numbers[::3] = np.round(np.exp(numbers[::3]), 2)
    logit = numbers[0] + 0.5 * numbers[1] * numbers[2] - np.abs(numbers[4]) - 1
    gaps = rng.random((features - TEXTS, rows)) < 0.1
    columns: dict[str, pa.Array[pa.Scalar[pa.DataType]]] = {
        "customer_id": pa.array([f"c{number:08}" for number in range(start, stop)]),
        "label": pa.array((rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)),
    }
    for place in range(features - TEXTS):
        columns[f"f_{place:02}"] = pa.array(numbers[place], mask=gaps[place])
    words = np.array([f"value {number}" for number in range(50)])
    for place in range(features - TEXTS, features):
        columns[f"f_{place:02}"] = pa.array(words[rng.geometric(0.1, rows).clip(1, 50) - 1])
    return pa.table(columns)


def encoder_of(features: int) -> Encoder:
    """Return bins of 254 cuts for every number, and of every word, as a training would agree."""
    sample = rows_of(0, 20_000, features)
    declared: list[Feature] = []
    bins: list[FeatureBins] = []
    for place in range(features):
        name = f"f_{place:02}"
        is_text = place >= features - TEXTS
        declared.append(Feature(name, categorical=is_text))
        if is_text:
            prefixes, _ = category_hashes(pc.unique(sample[name]), KEY)
            bins.append(CategoryBins(tuple(map(int, prefixes))))
        else:
            values = sample[name].drop_null().to_numpy()
            cuts = np.unique(np.quantile(values, np.linspace(0, 1, 256)[1:-1]))
            bins.append(NumericBins(tuple(map(float, cuts))))
    return Encoder(tuple(declared), tuple(bins))


def trained(rows: int, features: int, trees: int) -> TrainingResult:
    """Train the product's model on the first ``rows`` customers."""
    table = rows_of(0, rows, features)
    declared = tuple(
        Feature(f"f_{place:02}", categorical=place >= features - TEXTS) for place in range(features)
    )
    manifest = Manifest(
        run_id="benchmark",
        model_name="benchmark",
        task="propensity",
        features=declared,
        label="label",
        row_key="customer_id",
        sites=("brand",),
        overrides=overrides_for(("brand",), ("brand",)),
        parameters=TrainingParameters(n_estimators=trees, max_depth=6, num_leaves=63),
    )
    program = SiteProgram("brand", ArrowSource(table), KEY)
    return train(InProcessTransport({"brand": program}), manifest)


@contextmanager
def filled(engine: str, rows: int, features: int) -> Iterator[Warehouse]:
    """Yield a warehouse whose FEATURES hold ``rows`` customers.

    Raises UnavailableError without a PostgreSQL server.
    """
    with _empty(engine) as profile:
        # In a process of its own: what generating leaves behind is not what reading takes.
        filling = get_context("spawn").Process(target=_fill, args=(profile, rows, features))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise SystemExit(f"the generated rows did not reach {engine}")
        warehouse = open_warehouse(profile)
        yield warehouse
        warehouse.close()


@contextmanager
def _empty(engine: str) -> Iterator[Profile]:
    if engine == "duckdb":
        with tempfile.TemporaryDirectory(prefix="warehouse-") as folder:
            path = Path(folder) / "brand.duckdb"
            yield Profile(path=path, settings={"memory_limit": _MEMORY})
        return
    try:
        with running_server() as server:
            yield Profile(type="postgres", postgres=server.new_database())
    except NoServerError as error:
        raise UnavailableError(str(error)) from error


def _fill(profile: Profile, rows: int, features: int) -> None:
    warehouse = open_warehouse(profile, create=True)
    if profile.type == "postgres":
        warehouse.execute("create schema main")
    types = ["varchar", "bigint"] + ["double precision"] * (features - TEXTS)
    types += ["varchar"] * TEXTS
    names = ["customer_id", "label", *(f"f_{place:02}" for place in range(features))]
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in zip(names, types, strict=True))
    warehouse.execute(f"create table {FEATURES.sql()} ({columns})")
    for start in range(0, rows, _BLOCK):
        warehouse.insert(FEATURES, rows_of(start, min(start + _BLOCK, rows), features))
    warehouse.execute("create schema fed_audience")
    warehouse.execute(
        "create table fed_audience.scores (model_name varchar not null,"
        " model_version varchar not null, customer_id varchar not null,"
        " score double precision not null, is_rank boolean not null,"
        " scored_at timestamp not null)"
    )
    warehouse.close()
