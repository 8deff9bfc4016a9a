"""Whatever a user gets wrong ends in one line, with its exit code, and nothing half-written."""

from __future__ import annotations

import errno
import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from pydantic import SecretStr

from fed_audience import cli
from fed_audience.errors import ResourceError
from fed_audience.testing.receiver import WebhookReceiver
from tests.cli.conftest import Fail
from tests.simulate.conftest import Table, customers

COMMAND = Path(sys.executable).with_name("fed-audience")
QUICK = ("--trees", "2", "--depth", "2", "--threads", "1")


def table(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "table.csv"
    pyarrow.csv.write_csv(pa.table({**customers(400), **changes}), path)
    return path


def files_of(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


# simulate: files that are no table, or not the one that was meant


def parquet_half(path: Path) -> None:
    pyarrow.parquet.write_table(pa.table(customers(400)), path)
    path.write_bytes(path.read_bytes()[:2_000])


def endless_link(path: Path) -> None:
    path.symlink_to(path)  # unreadable, even for root


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "value: No such file or directory"),
        (endless_link, "value: Too many levels of symbolic links"),
        (lambda path: path.mkdir(), "value: Is a directory"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_text("spend,bought\n"), "the table has no rows"),
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "a binary file"),
        (
            lambda path: path.write_bytes(gzip.compress(b"spend,bought\n1,yes\n" * 999)[:60]),
            "Compressed file ended before",
        ),
        (parquet_half, "Parquet magic bytes not found"),
        (lambda path: path.write_text("spend,spend,bought\n1,2,no\n"), "value: 'spend'"),
        (lambda path: path.write_text("spend,bought\n1,yes\n2\n"), "row 3 has another number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_table(
    tmp_path: Path, fail: Fail, make: Callable[[Path], Any], words: str
) -> None:
    path = tmp_path / "t.csv"
    make(path)
    code, said = fail("simulate", path, "--label", "bought", "--json", tmp_path / "out.json")
    assert code == 4
    assert words in said
    assert str(path) in said
    assert files_of(tmp_path) <= {"t.csv"}


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--label", "bougth"), 4, "did you mean 'bought'?"),
        (("--label", "brand"), 4, "more than two classes; value: fashion, grocery, travel"),
        (("--label", "same"), 4, "one class only; value: x; allowed: two classes or more"),
        (("--label", "void"), 4, "one class only; value: all missing"),
        (("--positive", "maybe"), 4, "value: maybe; allowed: no, yes"),
        (("--site-column", "brnd"), 4, "did you mean 'brand'?"),
        (("--group", "zzz"), 4, "no column 'zzz' (--group)"),
        (("--drop", "spendd"), 4, "did you mean 'spend'?"),
        (("--drop", "spend,visits,channel,brand,same,void"), 4, "no column is left"),
        (("--sites", "10000"), 2, "--sites is out of range; value: 10000; allowed: 1 to 500"),
        (("--sites", "0"), 2, "--sites is out of range; value: 0"),
        (("--split", "dirichlet:x"), 2, "value: dirichlet:x; allowed: iid, time or dirichlet:"),
        (("--task", "looklike"), 2, "unknown --task; value: looklike"),
        (("--task", "lookalike"), 2, "name it with --seed-site"),
        (("--seed-site", "fashion"), 2, "add --task lookalike"),
        (
            ("--task", "lookalike", "--site-column", "brand", "--seed-site", "fashio"),
            2,
            "--seed-site is not a site; value: fashio; allowed: fashion, grocery, travel",
        ),
        (("--test-fraction", "nan"), 2, "--test-fraction is out of range"),
        (("--test-fraction", "0.0001"), 4, "the test rows are of one class only; value: 0 rows"),
        (("--trees", "0"), 2, "--trees is out of range; value: 0; allowed: 1 to 10000"),
        (("--max-bin", "1"), 2, "--max-bin is out of range"),
    ],
)
def test_flags_that_do_not_fit_the_table(
    tmp_path: Path, fail: Fail, flags: tuple[str, ...], code: int, words: str
) -> None:
    path = table(tmp_path, same=["x"] * 400, void=pa.nulls(400, pa.string()))
    label = () if "--label" in flags else ("--label", "bought")
    out = tmp_path / "out.json"
    found, said = fail("simulate", path, *label, *flags, "--json", out)
    assert (found, words in said) == (code, True), said
    assert files_of(tmp_path) == {"table.csv"}


def test_a_test_file_that_lacks_columns(tmp_path: Path, fail: Fail) -> None:
    path, test = table(tmp_path), tmp_path / "test.csv"
    test.write_text("spend,bought\n1,yes\n2,no\n")
    code, said = fail("simulate", path, "--label", "bought", "--test", test)
    assert code == 4
    assert "value: brand, channel, visits" in said
    assert str(test) in said


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("none/out.json", "the folder for --json does not exist"),
        (".", "--json is a folder"),
        ("table.csv", "--json would overwrite the table that is read"),
        ("./folder/../table.csv", "--json would overwrite the table that is read"),
    ],
)
def test_a_result_that_has_no_place_is_refused_before_anything_is_read(
    tmp_path: Path, fail: Fail, monkeypatch: pytest.MonkeyPatch, out: str, words: str
) -> None:
    path = table(tmp_path)
    (tmp_path / "folder").mkdir()
    before = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    code, said = fail("simulate", path, "--label", "no such column", "--json", out)
    assert code == 2
    assert words in said
    assert path.read_bytes() == before


def simulate(path: Path, out: Path, *flags: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as left:
        cli.main(["simulate", str(path), "--label", "bought", *QUICK, *flags, "--json", str(out)])
    assert left.value.code == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.fixture
def odd_table(tmp_path: Path) -> Path:
    """A site without positives, infinite values, a column without values."""
    columns: Table = customers(400)
    columns["bought"] = np.where(columns["brand"] == "travel", "no", columns["bought"])
    columns["spend"][:7] = np.inf
    columns["visits"][:3] = -np.inf
    return table(tmp_path, **columns, void=pa.nulls(400, pa.string()))


def test_odd_sites_and_columns_are_used_as_far_as_they_go(tmp_path: Path, odd_table: Path) -> None:
    found = simulate(odd_table, tmp_path / "out.json", "--site-column", "brand")
    travel = found["per_site"][found["sites"].index("travel")]
    assert (travel["positives"], travel["auc_alone"], travel["verdict"]) == (0, None, None)
    assert found["auc"]["site_alone"][found["sites"].index("travel")] is None
    assert any("travel: no positives" in one for one in found["warnings"])
    assert "column 'spend': 7 infinite values clipped to +-2^64" in found["warnings"]
    assert "column 'visits': 3 infinite values clipped to +-2^64" in found["warnings"]
    assert "column 'void' is empty: left out" in found["notes"]
    assert "void" not in found["feature_names"]


def test_a_single_site_and_sites_without_rows(tmp_path: Path) -> None:
    path = table(tmp_path)
    alone = simulate(path, tmp_path / "one.json", "--sites", "1")
    assert alone["auc"]["site_alone"] == [alone["auc"]["federated"]]
    sparse = simulate(path, tmp_path / "few.json", "--sites", "8", "--split", "dirichlet:1e-9")
    empty = [one for one in sparse["per_site"] if one["rows"] == 0]
    assert empty
    assert {one["auc_alone"] for one in empty} == {None}
    assert sum("no rows to train with" in one for one in sparse["warnings"]) == len(empty)


def no_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_disk_that_fills_up_leaves_the_earlier_result(tmp_path: Path) -> None:
    path, out = table(tmp_path), tmp_path / "out.json"
    out.write_text("{}")
    done = subprocess.run(
        [COMMAND, "simulate", path, "--label", "bought", *QUICK, "--json", out],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=no_room,
    )
    assert done.returncode == 11
    assert done.stderr.count("\n") == 1
    assert "nothing half-written was kept; value: File too large" in done.stderr
    assert out.read_text() == "{}"
    assert files_of(tmp_path) == {"table.csv", "out.json"}


def test_ctrl_c_ends_a_simulation_without_a_trace(tmp_path: Path) -> None:
    path, out = table(tmp_path), tmp_path / "out.json"
    flags = ("--label", "bought", "--trees", "10000", "--depth", "12", "--json")
    process = subprocess.Popen(
        [COMMAND, "simulate", path, *flags, out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - a shell may have told us to ignore it
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("fed-audience: stopped by the user")
    assert "Traceback" not in said
    assert files_of(tmp_path) == {"table.csv"}


# The demo


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--customers", "3"), "too few customers for a demo"),
        (("--customers", "2499"), "value: 2499; allowed: 2,500 or more"),
        (("--setting", "kindrd"), "value: kindrd; allowed: kindred, discord"),
        (("--seed", "-1"), "--seed is out of range; value: -1"),
    ],
)
def test_a_mistaken_demo_leaves_no_folder(
    tmp_path: Path, fail: Fail, flags: tuple[str, ...], words: str
) -> None:
    code, said = fail("demo", "--dir", tmp_path / "demo", *flags)
    assert (code, words in said) == (2, True), said
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", ["notes.txt", "README.txt", "federation.yml"])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, fail: Fail, name: str) -> None:
    (tmp_path / name).write_text("mine")
    code, said = fail("demo", "--dir", tmp_path)
    assert code == 11
    assert "the demo's folder holds something else" in said
    assert files_of(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_is_a_file(tmp_path: Path, fail: Fail) -> None:
    (tmp_path / "file").write_text("mine")
    for path in ("file", "file/below"):
        code, said = fail("demo", "--dir", tmp_path / path)
        assert (code, "value: Not a directory" in said) == (11, True), said


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port cannot be used; value: {port}") as caught:
            WebhookReceiver(SecretStr("a secret"), port=port)
    assert caught.value.exit_code == 11


# Whatever no command foresaw


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EFBIG, "the disk is full"),
        (errno.EACCES, "the operating system refused"),
    ],
)
def test_a_machine_that_refuses(
    tmp_path: Path, fail: Fail, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr("fed_audience.demo.run.run_demo", refuse)
    code, said = fail("demo", "--dir", tmp_path)
    assert (code, words in said, "looked in: somewhere" in said) == (11, True, True), said
