"""The schedules are well-formed, and their commands exist with those options."""

from __future__ import annotations

import hmac
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from fed_audience.cli.app import app
from tests.examples.conftest import script

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "scheduling"
COMMAND = re.compile(r"fed-audience [^\"`\n&|]+")
PROGRAMS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda one: one.stem)
def test_each_program_compiles(path: Path) -> None:
    compile(path.read_text(), str(path), "exec")


def test_the_manifest_of_kubernetes_names_one_container() -> None:
    document = yaml.safe_load((FOLDER / "kubernetes_cronjob.yml").read_text())
    pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    accepted(shlex.join(container["command"]))
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod["volumes"]
    }


WITH_COMMANDS = [FOLDER / "README.md", FOLDER / "crontab", *PROGRAMS]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda one: one.name)
def test_each_command_exists_with_its_options(path: Path) -> None:
    found = COMMAND.findall(path.read_text())
    assert found
    for line in found:
        accepted(line)


def accepted(line: str) -> None:
    """Fail unless the command line is one of ours; nothing runs."""
    program, name, *arguments = shlex.split(line)
    assert program == "fed-audience"
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context(program, [name]), name)  # type: ignore[attr-defined]
    assert command is not None, line
    assert command.make_context(name, arguments).params


def test_only_dbt_cloud_starts_an_agent() -> None:
    receiver = script(FOLDER / "dbt_cloud_webhook.py")
    done = {"eventType": "job.run.completed", "data": {"runStatus": "Success"}}
    body = json.dumps(done).encode()
    signature = hmac.new(b"secret", body, "sha256").hexdigest()
    assert receiver.is_signed(body, signature, "secret")
    assert not receiver.is_signed(body + b" ", signature, "secret")
    assert not receiver.is_signed(body, "", "secret")
    assert not receiver.is_signed(body, "\u00e9", "secret")
    assert receiver.is_success(body)
    failed = {**done, "data": {"runStatus": "Errored"}}
    assert not receiver.is_success(json.dumps(failed).encode())
    assert not receiver.is_success(b"[]")
