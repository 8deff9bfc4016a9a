"""The Online Retail example as its README tells it: prepared, run, compared."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pytest

from fed_audience.errors import UsageError

BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
BRANDS = ("uk_a", "uk_b", "abroad")

run = pytest.mark.xdist_group("online_retail")


@dataclass(frozen=True)
class Finished:
    """The folder that the README's commands left behind, and what they printed."""

    prepared: Path
    output: str

    def rows(self, brand: str, sql: str) -> list[Any]:
        path = self.prepared / brand / "warehouse.duckdb"
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def delivered(self, brand: str) -> tuple[dict[str, Any], pa.Table]:
        folder = self.prepared / "delivered" / brand / "likely_to_buy"
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest, pyarrow.csv.read_csv(folder / manifest["snapshot"]["file"])


@pytest.fixture(scope="module")
def finished(example: Path, real_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run every command of the README, as written, in a copy of the example."""
    root = tmp_path_factory.mktemp("checkout")
    copy = root / "examples" / "online_retail"
    shutil.copytree(example, copy, ignore=shutil.ignore_patterns("prepared", "__pycache__"))
    (root / ".venv").symlink_to(sys.prefix)
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-euc", "\n".join(commands(copy / "README.md"))],
        cwd=root,
        env={**os.environ, "DATA": str(real_file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return Finished(copy / "prepared", done.stdout)


def commands(page: Path) -> list[str]:
    return [
        line.removeprefix("$ ")
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def test_the_readme_prepares_runs_and_compares(example: Path) -> None:
    said = "\n".join(commands(example / "README.md"))
    assert re.findall(r"prepare\.py|fed-audience run|compare\.py", said) == [
        "prepare.py",
        "fed-audience run",
        "compare.py",
    ]


@run
@pytest.mark.slow
@pytest.mark.dbt
def test_the_report_is_there(finished: Finished) -> None:
    page = (finished.prepared / "report.html").read_text(encoding="utf-8")
    for brand in BRANDS:
        assert brand in page
    assert "likely_to_buy" in page or "likely to buy" in page


@run
@pytest.mark.slow
@pytest.mark.dbt
@pytest.mark.parametrize("brand", BRANDS)
def test_the_label_is_buying_again_in_the_ninety_days_after_the_cutoff(
    finished: Finished, brand: str
) -> None:
    wrong = finished.rows(
        brand,
        "select count(*) from main.fed_training_repurchase t"
        " where cutoff_at <> timestamp '2011-09-11' or label <> (exists ("
        "  from raw.orders o where o.customer_id = t.customer_id and status <> 'cancelled'"
        "  and ordered_at >= '2011-09-11' and ordered_at < '2011-12-10'))::int"
        " or customer_id not in (select customer_id from raw.customers"
        "  where created_at < '2011-09-11')",
    )
    assert wrong == [(0,)]
    ((trained, positives),) = finished.rows(
        brand, "select count(*), sum(label) from main.fed_training_repurchase"
    )
    assert trained > (150 if brand == "abroad" else 1_000)
    assert 0.45 < positives / trained < 0.7


@run
@pytest.mark.slow
@pytest.mark.dbt
@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("purpose", ["profile", "train", "share_model"])
def test_nobody_is_trained_on_who_does_not_allow_it_last(
    finished: Finished, brand: str, purpose: str
) -> None:
    people = finished.rows(brand, "select customer_id from main.fed_training_repurchase")
    assert {customer for (customer,) in people} <= consenting(finished, brand, purpose)


@run
@pytest.mark.slow
@pytest.mark.dbt
@pytest.mark.parametrize("brand", BRANDS)
def test_only_people_who_allow_it_are_in_the_delivered_files(
    finished: Finished, brand: str
) -> None:
    manifest, table = finished.delivered(brand)
    allowed = consenting(finished, brand, "profile") & consenting(finished, brand, "activate:email")
    hashes = {hashlib.sha256(address(customer).encode()).hexdigest() for customer in allowed}
    delivered = set(table["email_sha256"].to_pylist())
    assert delivered <= hashes
    assert manifest["snapshot"]["rows"] == len(delivered) == table.num_rows
    # A fifth of those who may be reached, of whom 5 % are held out.
    assert 0.15 * len(allowed) < len(delivered) <= 0.2 * len(allowed)


@run
@pytest.mark.slow
@pytest.mark.dbt
def test_delivered_files_name_nobody(finished: Finished) -> None:
    for brand in BRANDS:
        files = (finished.prepared / "delivered" / brand).rglob("*")
        texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
        assert len(texts) == 3
        assert not [text for text in texts if "@" in text or re.search(r"\bC1\d{4}\b", text)]


@run
@pytest.mark.slow
@pytest.mark.dbt
def test_the_federated_model_is_the_pooled_one_and_as_good_as_lightgbm(finished: Finished) -> None:
    assert "the federated model is the pooled one, to the byte" in finished.output
    splits = re.findall(r"federated (0\.\d+), LightGBM (0\.\d+), difference", finished.output)
    assert len(splits) == 3
    assert all(0.65 < float(value) < 0.85 for split in splits for value in split)
    (mean,) = re.findall(r"mean difference over 3 splits: ([+-]0\.\d+)", finished.output)
    assert abs(float(mean)) < 0.02


def test_the_interval_is_students(comparing: ModuleType) -> None:
    # Half width: 2.7764 (97.5 % of Student's t, 4 degrees) x 1.5811 / sqrt(5).
    mean, low, high = comparing.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - 1.9632, 3.0 + 1.9632), abs=0.005)


def test_rows_that_splits_share_widen_the_interval(comparing: ModuleType) -> None:
    values = [0.01, -0.02, 0.03, 0.00]
    mean, low, high = comparing.mean_interval(values)
    _, wide_low, wide_high = comparing.mean_interval(values, shared=0.75)
    assert wide_high - mean == pytest.approx(2.0 * (high - mean))
    assert mean - wide_low == pytest.approx(2.0 * (mean - low))


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--splits", "1"], "--splits is too small", UsageError.exit_code),
        (["--config", "nowhere.yml"], "configuration file cannot be read", 3),
    ],
)
def test_a_comparison_that_cannot_be_made_is_one_line(
    comparing: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
    code: int,
) -> None:
    with pytest.raises(SystemExit) as left:
        comparing.main(arguments)
    printed = capsys.readouterr().err
    assert left.value.code == code
    assert printed.startswith("compare.py: ")
    assert said in printed
    assert printed.count("\n") == 1


def consenting(finished: Finished, brand: str, purpose: str) -> set[str]:
    """Customers whose last word on ``purpose`` is a grant."""
    found = finished.rows(
        brand,
        "select source_id from raw.consent_events"
        f" where purpose = '{purpose}' group by source_id"
        " having arg_max(status, recorded_at) = 'granted'",
    )
    assert found
    return {customer for (customer,) in found}


def address(customer: str) -> str:
    return f"customer{customer[1:]}@example.com"
