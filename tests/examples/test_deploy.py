"""The systemd units, as systemd itself reads them; the Containerfile against what it builds."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fed_audience.cli.app import app
from fed_audience.jobs.link_settings import CoordinatorSettings

KEYS = ("category_key", "state_key")
INSTRUCTIONS = {
    "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL",
    "ENTRYPOINT", "CMD",
}  # fmt: skip


def test_systemd_takes_the_units_as_they_are(repository: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    installed = str(Path(sys.executable).with_name("fed-audience"))
    units = []
    for unit in sorted((repository / "examples" / "deploy").glob("*.service")):
        text = unit.read_text()
        assert "ExecStart=/opt/fed-audience/bin/fed-audience " in text
        copy = tmp_path / unit.name.replace("@", "@fashion")
        copy.write_text(text.replace("/opt/fed-audience/bin/fed-audience", installed))
        units.append(copy)
    assert len(units) == 2
    done = subprocess.run(
        [analyze, "--man=no", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_agent_is_given_both_of_its_secrets(repository: Path) -> None:
    deploy = repository / "examples" / "deploy"
    unit = (deploy / "fed-audience-agent@.service").read_text()
    container = (deploy / "Containerfile").read_text()
    for key in KEYS:
        variable = f"FED_AUDIENCE_{key.upper()}_FILE"
        assert re.search(rf"^LoadCredential={key}:/etc/fed-audience/\S+$", unit, re.MULTILINE)
        assert f"Environment={variable}=%d/{key}\n" in unit
        assert f"--secret {key},uid=10001" in container
        assert f"-e {variable}=/run/secrets/{key} " in container
    assert "--uid 10001" in container
    assert "KEY" not in (deploy / "fed-audience-coordinator.service").read_text()


@pytest.fixture(scope="module")
def instructions(repository: Path) -> list[tuple[str, str]]:
    """Instructions of the Containerfile, continued lines joined, without comments."""
    text = (repository / "examples" / "deploy" / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined]


def of(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for kind, rest in instructions if kind == name]


def test_the_image_copies_all_that_the_package_is_built_from(
    repository: Path, instructions: list[tuple[str, str]]
) -> None:
    assert {kind for kind, _ in instructions} <= INSTRUCTIONS
    copied = set()
    for rest in of(instructions, "COPY"):
        if not rest.startswith("--from="):
            *sources, target = shlex.split(rest)
            assert target in {"./", *sources}
            copied.update(sources)
    for source in copied:
        assert (repository / source).exists(), source
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    parts = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *(part.partition("/")[0] for part in wheel["packages"]),
        *wheel["force-include"],
    }
    assert parts == copied


def test_the_image_installs_what_exists_and_starts_a_command_of_ours(
    repository: Path, instructions: list[tuple[str, str]]
) -> None:
    runs = " ".join(of(instructions, "RUN"))
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"pip install --no-cache-dir '\.\[(.*?)\]'", runs)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    for image in of(instructions, "FROM"):
        (version,) = re.findall(r"python:(3\.\d+)-slim", image)
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    # A shared library that no wheel brings along, and no slim image either.
    library = Path(str(distribution("lightgbm").locate_file("lightgbm/lib/lib_lightgbm.so")))
    assert b"libgomp.so.1" in library.read_bytes()
    assert "libgomp1" in runs

    (entry,) = (json.loads(rest) for rest in of(instructions, "ENTRYPOINT"))
    assert entry == [*project["scripts"]]
    (built,) = re.findall(r"python -m venv (\S+)", runs)
    assert f"{built} {built}" in " ".join(of(instructions, "COPY"))
    assert f"PATH={built}/bin:$PATH" in of(instructions, "ENV")[0]
    (command,) = (json.loads(rest) for rest in of(instructions, "CMD"))
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0, told.output
    default = CoordinatorSettings.model_fields["listen"].default
    assert of(instructions, "EXPOSE") == [default.rpartition(":")[2]]
    assert of(instructions, "VOLUME") == of(instructions, "WORKDIR")[-1:]
    assert of(instructions, "STOPSIGNAL") == ["SIGTERM"]
