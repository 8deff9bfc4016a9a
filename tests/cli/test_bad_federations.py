"""A federation's mistakes: its file, its flags, its brands, its destinations; one line each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from fed_audience import cli
from fed_audience.testing.receiver import WebhookReceiver
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, SECRETS, SmallFederation

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
