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
from tests.jobs.small_federation import AS_OF, SECRETS, SmallFederation
from tests.simulate.conftest import Table, customers

Fail = Callable[..., tuple[int, str]]
COMMAND = Path(sys.executable).with_name("fed-audience")
QUICK = ("--trees", "2", "--depth", "2", "--threads", "1")


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Fail:
    """Run a command that must fail; return its exit code and its one line."""

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(part) for part in arguments])
        said = capsys.readouterr().err
        assert said.startswith("fed-audience: ")
        assert said.count("\n") == 1
        assert ". To mend it: " in said
        assert "Traceback" not in said
        assert isinstance(left.value.code, int)
        return left.value.code, said

    return call


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


# A federation: its files, its flags, its brands' warehouses


@pytest.fixture
def federation(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> SmallFederation:
    monkeypatch.chdir(small_federation.folder)
    return small_federation


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "models:",
            "modells:",
            "unknown key 'modells' in FederationSettings; did you mean 'models'",
        ),
        ("project: ant", "projct: ant", "sites.0: unknown key 'projct'"),
        ("max_depth", "max_dept", "did you mean 'max_depth'"),
        ("share: 0.2", "share: 2", "audiences.0.share: Input should be less than or equal to 1"),
        ("[files]", "[filez]", "destination 'filez' is not declared; did you mean 'files'"),
        ("name: bee,", "name: ant,", "two sites have the same name"),
        ("name: small", "name: [small", "not valid YAML"),
        ("name: small", "name: \udcff", "not UTF-8 text"),
    ],
)
def test_a_federation_file_with_a_mistake(
    federation: SmallFederation, fail: Fail, old: str, new: str, words: str
) -> None:
    text = federation.config.read_text().replace(old, new)
    federation.config.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, said = fail("train", "repurchase")
    assert (code, words in said) == (3, True), said
    assert "federation.yml" in said


def test_a_federation_file_that_is_elsewhere(fail: Fail, tmp_path: Path) -> None:
    code, said = fail("sync", "top", "--config", tmp_path / "none.yml")
    assert code == 3
    assert "none.yml" in said
    assert "give its path with --config" in said


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("train repurchas", 3, "value: repurchas; allowed: repurchase"),
        ("score repurchas", 3, "did you mean 'repurchase'?"),
        ("audience topp", 3, "did you mean 'top'?"),
        ("sync topp --dry-run", 3, "did you mean 'top'?"),
        ("train repurchase --as-of tomorrow", 2, "--as-of is no instant; value: tomorrow"),
        ("train repurchase --as-of 0001-01-01T00:00+14:00", 2, "--as-of is no instant"),
        ("audience top --share 0", 2, "value: 0.0; allowed: above 0, at most 1"),
        ("audience top --share nan", 2, "value: nan"),
        ("audience top --share 1.01", 2, "value: 1.01"),
        (f"score repurchase --as-of {AS_OF}", 6, "no active model of that name"),
        (f"audience top --as-of {AS_OF}", 4, "run `fed-audience score repurchase` first"),
        ("audience top", 5, "the consent ledger is too old"),
        ("consent explain nobody --project ant", 4, "no such customer"),
        ("consent explain nobody --project none", 3, "none/dbt_project.yml"),
        ("consent funnel --project ant --target prod", 3, "value: prod; allowed: dev"),
        ("run --report .", 11, "value: it is a folder"),
        ("run --report federation.yml/report.html", 11, "the report cannot be written there"),
    ],
)
def test_commands_that_cannot_be_obeyed(
    federation: SmallFederation, fail: Fail, command: str, code: int, words: str
) -> None:
    found, said = fail(*command.split())
    assert (found, words in said) == (code, True), said
    assert federation.requests() == {"ant": "pending", "bee": "pending"}


@pytest.mark.parametrize(
    "command", ["train repurchase", "score repurchase", "audience top", "sync top"]
)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("project: bee", "project: wasp", "dbt_project.yml cannot be read"),
        ("project: bee", "project: bee, target: prod", "allowed: dev"),
        ("project: bee", "project: bee, profiles: none", "no profiles.yml found"),
    ],
)
def test_a_brand_whose_project_is_not_there(
    federation: SmallFederation, fail: Fail, command: str, old: str, new: str, words: str
) -> None:
    federation.edit(old, new)
    code, said = fail(*command.split(), "--as-of", AS_OF)
    assert (code, words in said) == (3, True), said
    assert not (federation.folder / "delivered").exists()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_not_set_is_named_and_never_shown(
    federation: SmallFederation, fail: Fail, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    code, said = fail("train", "repurchase")
    assert code == 3
    assert f"environment variables {name} and {name}_FILE" in said
    assert not [value for value in SECRETS.values() if value in said]
    (federation.folder / "empty").touch()
    monkeypatch.setenv(f"{name}_FILE", str(federation.folder / "empty"))
    code, said = fail("train", "repurchase")
    assert (code, "secret file is empty" in said) == (3, True)


def test_a_warehouse_that_another_process_holds(
    federation: SmallFederation, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = federation.folder / "bee" / "brand.duckdb"
    program = f"import duckdb; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        code, said = fail("train", "repurchase", "--as-of", AS_OF)
        holder.communicate(b"\n")
    assert code == 6
    assert f"locked by {Path(sys.executable).resolve().name}, process {holder.pid}" in said
    assert federation.requests() == {"ant": "pending", "bee": "pending"}


def test_a_warehouse_that_is_no_database(federation: SmallFederation, fail: Fail) -> None:
    (federation.folder / "bee" / "brand.duckdb").write_text("not a database")
    code, said = fail("train", "repurchase", "--as-of", AS_OF)
    assert code == 6
    assert "not a valid DuckDB database file" in said


# Destinations


@pytest.fixture
def chosen(federation: SmallFederation) -> SmallFederation:
    """Three people of each brand are to be delivered."""
    for brand in ("ant", "bee"):
        federation.execute(
            brand,
            "insert into fed_audience.audience_members select 'top', 'email', customer_id,"
            " 'repurchase', 'v1', 0.5, current_timestamp from stg_cdp__customers limit 3",
        )
    return federation


def webhook(federation: SmallFederation, url: str) -> None:
    federation.edit(
        "type: file\n    folder: delivered",
        f"type: webhook\n    url: {url}\n    secret: A_WEBHOOK_SECRET\n    allow_loopback: true",
    )


def test_a_webhook_with_another_secret(
    chosen: SmallFederation, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_WEBHOOK_SECRET", "the sender's long secret")
    with WebhookReceiver(SecretStr("the receiver's long secret")) as receiver:
        webhook(chosen, receiver.url)
        code, said = fail("sync", "top", "--as-of", AS_OF)
        assert not receiver.inbox.members()
    assert code == 10
    assert "HTTP 401" in said
    assert "check the signing secret on both sides" in said
    assert "long secret" not in said


def test_a_webhook_without_a_secret(chosen: SmallFederation, fail: Fail) -> None:
    webhook(chosen, "http://127.0.0.1:9/")
    code, said = fail("sync", "top", "--as-of", AS_OF)
    assert code == 3
    assert "environment variables A_WEBHOOK_SECRET and A_WEBHOOK_SECRET_FILE" in said


def test_a_folder_that_cannot_be_written_keeps_nobody_from_being_sent_later(
    chosen: SmallFederation, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    (chosen.folder / "delivered").write_text("in the way")
    code, said = fail("sync", "top", "--as-of", AS_OF)
    assert code == 10, said
    assert "the destination's folder cannot be used; value: Not a directory" in said
    (chosen.folder / "delivered").unlink()
    with pytest.raises(SystemExit) as left:
        cli.main(["sync", "top", "--as-of", AS_OF])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert said.count("added 3, updated 0") == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("type: file", "type: fle", "value: fle; allowed: file, webhook"),
        ("    type: file\n", "", "a destination needs a type"),
        ("folder: delivered", "foldr: delivered", "did you mean 'folder'"),
    ],
)
def test_a_destination_with_a_mistake(
    chosen: SmallFederation, fail: Fail, old: str, new: str, words: str
) -> None:
    chosen.edit(old, new)
    for more in (("--dry-run",), ()):
        code, said = fail("sync", "top", "--as-of", AS_OF, *more)
        assert (code, words in said) == (3, True), said


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
