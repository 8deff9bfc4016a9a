"""Make three brands of the UCI Online Retail file, each with a dbt project and a DuckDB warehouse.

    python examples/online_retail/prepare.py PATH/TO/online_retail.csv.gz

Purchases are real; consents and e-mail addresses are generated: README.md says how.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

import duckdb

from fed_audience.errors import DataError, FedAudienceError, ResourceError
from fed_audience.warehouse.dbt import package_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE: Final = Path(__file__).resolve().parent
PREPARED: Final = HERE / "prepared"
BRANDS: Final = ("uk_a", "uk_b", "abroad")
TABLES: Final = ("customers", "orders", "order_items", "consent_events")
COLUMNS: Final[Mapping[str, str]] = {
    "InvoiceNo": "varchar",
    "StockCode": "varchar",
    "Description": "varchar",
    "Quantity": "bigint",
    "InvoiceDate": "timestamp",
    "UnitPrice": "double",
    "CustomerID": "double",
    "Country": "varchar",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of the file's lines, and the rows of each brand's raw tables.

    ``without_customer`` and ``without_price`` lines were left out; the latter do name a customer.
    ``refunding`` cancellation lines found the order that they take back, ``unmatched`` did not.
    """

    lines: int
    without_customer: int
    without_price: int
    refunding: int
    unmatched: int
    rows: Mapping[str, Mapping[str, int]]


def prepare(csv: Path, folder: Path = PREPARED, *, seed: int = 7) -> Prepared:
    """Write `federation.yml`, and for each brand a dbt project with its warehouse, into ``folder``.

    ``csv`` is the UCI file as CSV, gzipped or not; ``seed`` decides the generated consents alone.
    The folder appears when it is complete. It replaces one that an earlier call made, with all that
    was built and delivered there. Raises DataError when the file is not the expected one and
    ResourceError when the folder cannot be written or holds something else.
    """
    _check_replaceable(folder)
    with duckdb.connect() as connection:
        _read(connection, csv)
        connection.execute(f"create macro seed() as {int(seed)}")
        for script in ("raw_tables.sql", "consents.sql"):
            connection.execute((HERE / script).read_text(encoding="utf-8"))
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            shutil.copyfile(HERE / "federation.yml", unfinished / "federation.yml")
            rows = {brand: _write_brand(connection, brand, unfinished / brand) for brand in BRANDS}
            _replace(folder, unfinished)
        except (OSError, duckdb.IOException) as error:
            raise ResourceError(
                "the brands cannot be written",
                value=str(error).partition("\n")[0],
                looked=str(folder),
                fix="choose a folder that you may write to, with 60 MB of room, with --folder",
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return Prepared(*_counted(connection), rows)


def _check_replaceable(folder: Path) -> None:
    ours = (folder / "federation.yml").is_file() and all((folder / b).is_dir() for b in BRANDS)
    if folder.exists() and not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise ResourceError(
            "the folder holds something else",
            looked=str(folder),
            fix="choose an empty folder with --folder",
        )


def _read(connection: duckdb.DuckDBPyConnection, csv: Path) -> None:
    """Read the file into table ``lines`` with the columns of ``COLUMNS``."""
    if not csv.is_file():
        raise DataError(
            "the Online Retail file is not there",
            looked=str(csv),
            fix="download 'Online Retail' from the UCI repository, save it as CSV, give its path",
        )
    try:
        connection.execute(
            "create table texts as from read_csv(?, header = true, all_varchar = true)", [str(csv)]
        )
    except duckdb.Error as error:
        raise DataError(
            "the Online Retail file cannot be read",
            value=str(error).partition("\n")[0],
            looked=str(csv),
            fix="save it as comma-separated UTF-8, plain or gzipped",
        ) from error
    found = {row[0] for row in connection.execute("describe texts").fetchall()}
    if missing := [name for name in COLUMNS if name not in found]:
        raise DataError(
            "this is not the Online Retail file",
            value=f"no column {', '.join(missing)}",
            limit=", ".join(COLUMNS),
            looked=str(csv),
            fix="give the file with the eight columns of the UCI repository",
        )
    for name, kind in COLUMNS.items():
        _check_values(connection, name, kind, csv)
    casts = ", ".join(f"{name}::{kind} as {name}" for name, kind in COLUMNS.items())
    connection.execute(f"create table lines as select {casts} from texts")
    connection.execute("drop table texts")


def _check_values(connection: duckdb.DuckDBPyConnection, name: str, kind: str, csv: Path) -> None:
    finite = f"isfinite(try_cast({name} as {kind}))" if kind in {"double", "timestamp"} else "true"
    ((wrong,),) = connection.execute(
        f"select count(*) from texts where {name} is not null"
        f" and (try_cast({name} as {kind}) is null or not {finite})"
    ).fetchall()
    if wrong:
        raise DataError(
            f"column {name} holds values that are no {kind}",
            value=f"{wrong:,} lines",
            limit="dates like 2010-12-01 08:26:00, numbers with a point",
            looked=str(csv),
            fix="save the file with values written that way",
        )


def _write_brand(
    connection: duckdb.DuckDBPyConnection, brand: str, project: Path
) -> dict[str, int]:
    """Write one brand's dbt project and warehouse; returns the rows of its raw tables."""
    project.mkdir()
    values = {"brand": brand, "package": str(package_path())}
    for file in sorted((HERE / "brand").iterdir()):
        text = Template(file.read_text(encoding="utf-8")).substitute(values)
        (project / file.name).write_text(text, encoding="utf-8")
    # As `dbt deps` would, without its five seconds.
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages" / "fed_audience").symlink_to(package_path())
    target = str(project / "warehouse.duckdb").replace("'", "''")
    connection.execute(f"attach '{target}' as warehouse")
    connection.execute("create schema warehouse.raw")
    rows = {}
    for table in TABLES:
        # In one order, so that the same file gives the same tables.
        done = connection.execute(
            f"create table warehouse.raw.{table} as select * exclude (brand) from {table}"
            f" where brand = '{brand}' order by all"
        )
        ((rows[table],),) = done.fetchall()
    connection.execute("detach warehouse")
    return rows


def _replace(folder: Path, unfinished: Path) -> None:
    old = folder.with_name(f"{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _counted(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int, int, int]:
    (counts,) = connection.execute(
        "select count(*), count(*) filter (CustomerID is null),"
        " count(*) filter (CustomerID is not null and UnitPrice <= 0),"
        " (select count(order_id) from cancellations),"
        " (select count(*) - count(order_id) from cancellations) from lines"
    ).fetchall()
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; a failure is one line on stderr and its own exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("csv", type=Path, help="the UCI Online Retail file, CSV or gzipped CSV")
    parser.add_argument("--folder", type=Path, default=PREPARED, help="where the brands go")
    parser.add_argument("--seed", type=int, default=7, help="of the generated consents")
    chosen = parser.parse_args(arguments)
    try:
        done = prepare(chosen.csv, chosen.folder, seed=chosen.seed)
    except FedAudienceError as error:
        if os.environ.get("FED_AUDIENCE_DEBUG"):
            raise
        sys.stderr.write(f"prepare.py: {error}\n")
        sys.exit(error.exit_code)
    print(
        f"{done.lines:,} lines; left out {done.without_customer:,} without a customer"
        f" and {done.without_price:,} without a price"
    )
    print(
        f"{done.refunding + done.unmatched:,} cancellation lines; {done.refunding:,} refund an"
        f" order of the file, {done.unmatched:,} have none there"
    )
    for brand, rows in done.rows.items():
        print(f"{brand}: " + ", ".join(f"{count:,} {table}" for table, count in rows.items()))
    print("Purchases are real; consents and e-mail addresses are generated.")
    print(
        f"Next: fed-audience run --config {chosen.folder}/federation.yml --as-of 2011-12-10T00:00"
    )


if __name__ == "__main__":
    main()
