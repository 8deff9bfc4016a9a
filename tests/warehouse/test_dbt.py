"""dbt as a process of its own: what it says, how it fails, how it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from fed_audience.errors import DbtError
from fed_audience.warehouse import dbt
from fed_audience.warehouse.dbt import package_path, run_dbt
from fed_audience.warehouse.manifest import read_manifest

MODELS = {
    "good.sql": "select 1 as id, '{{ var('colour', 'none') }}' as colour,"
    " '{{ env_var('DO_NOT_TRACK', '') }}' as private",
    "train_it.sql": "select id from {{ ref('good') }}",
    "bad.sql": "select nope from {{ ref('good') }}",
    "worse.sql": "select nope from {{ ref('good') }}",
    "_models.yml": """
models:
  - name: train_it
    config: {materialized: table, meta: {fed_audience: {model: it, task: propensity}}}
""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "models").mkdir()
    for name, text in MODELS.items():
        (folder / "models" / name).write_text(text)
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    profiles = folder / "profiles"
    profiles.mkdir()
    (profiles / "profiles.yml").write_text(
        "shop:\n  target: none\n  outputs:\n    dev: {type: duckdb, path: shop.duckdb}\n"
    )
    return folder


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of dbt, where starting dbt would prove nothing more."""
    path = tmp_path / "dbt"
    monkeypatch.setattr(dbt, "dbt_executable", lambda: str(path))
    return path


def write_script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)


@pytest.mark.dbt
@pytest.mark.xdist_group("shop")
def test_a_run_reports_its_nodes_and_streams_its_lines(project: Path) -> None:
    lines: list[str] = []
    result = run_dbt(
        project,
        ["build", "--select", "good", "train_it"],
        profiles_dir=project / "profiles",
        target="dev",
        vars={"colour": "blue"},
        log_path=project / "elsewhere",
        on_line=lines.append,
    )
    assert [(node.unique_id, node.status) for node in result.nodes] == [
        ("model.shop.good", "success"),
        ("model.shop.train_it", "success"),
    ]
    assert any("START sql table model main.train_it" in line for line in lines)
    assert not any(re.match(r"\d\d:\d\d:\d\d|\x1b", line) for line in lines)
    assert result.log == project / "elsewhere" / "dbt.log"
    assert result.log.is_file()
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        assert connection.execute("from good").fetchall() == [(1, "blue", "1")]
    assert [model.spec.model for model in read_manifest(project)] == ["it"]


@pytest.mark.dbt
@pytest.mark.xdist_group("shop")
def test_a_failure_names_the_node_its_message_and_the_log(project: Path) -> None:
    with pytest.raises(DbtError) as caught:
        run_dbt(project, ["run"], profiles_dir=project / "profiles", target="dev")
    message = str(caught.value)
    assert "model.shop.bad" in message
    assert 'column "nope" not found' in message
    assert "1 more: model.shop.worse" in message
    assert str(project / "logs" / "dbt.log") in message
    assert "\n" not in message


def test_a_failure_before_any_node_repeats_what_dbt_said_last(script: Path, tmp_path: Path) -> None:
    write_script(
        script, "echo '12:00:00  Running with dbt'", "echo 'Could not find profile'", "exit 2"
    )
    with pytest.raises(
        DbtError, match=r"dbt parse failed: Running with dbt Could not find profile"
    ):
        run_dbt(tmp_path, ["parse"])


def test_a_file_in_other_hands_says_how_dbt_waits_for_it(script: Path, tmp_path: Path) -> None:
    write_script(script, "echo 'IO Error: Could not set lock on file \"x\": (PID 7)'", "exit 2")
    with pytest.raises(DbtError, match="met another program in the warehouse file") as told:
        run_dbt(tmp_path, ["build"])
    assert "retries: {connect_attempts: 6}" in str(told.value)


def test_results_of_an_earlier_run_are_not_taken_for_this_one(script: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text("{}")
    write_script(script, "exit 0")
    assert run_dbt(tmp_path, ["parse"]).nodes == ()


def test_a_missing_dbt_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(DbtError, match=r"not installed.*pip install"):
        run_dbt(tmp_path, ["parse"])


def test_the_package_is_found_in_the_checkout(repository: Path) -> None:
    assert package_path() == repository / "dbt_project"


def test_the_package_is_found_in_an_installed_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "site-packages" / "fed_audience"
    monkeypatch.setattr(dbt, "__file__", str(room / "warehouse" / "dbt.py"))
    with pytest.raises(DbtError, match="package of fed-audience is missing"):
        package_path()
    (room / "_dbt_project").mkdir(parents=True)
    (room / "_dbt_project" / "dbt_project.yml").write_text("name: fed_audience\n")
    assert package_path() == room / "_dbt_project"


def test_ctrl_c_ends_dbt_and_everything_it_started(tmp_path: Path) -> None:
    write_script(
        tmp_path / "dbt",
        "sleep 60 &",
        "echo $! > grandchild",
        "trap '' INT",
        "echo started",
        "wait",
    )
    code = (
        "import sys; from pathlib import Path; from fed_audience.warehouse import dbt\n"
        "dbt.dbt_executable = lambda: sys.argv[1]; dbt._GRACE_S = 0.2\n"
        "try: dbt.run_dbt(Path(sys.argv[2]), ['run'], on_line=lambda l: print(l, flush=True))\n"
        "except dbt.RunInterrupted as error: print(error, flush=True); sys.exit(130)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "dbt"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert "dbt was ended" in process.stdout.read()
    assert process.returncode == 130
    grandchild = int((tmp_path / "grandchild").read_text())
    assert gone(grandchild)


def gone(process_id: int) -> bool:
    """Whether the process ends within some seconds (a zombie has ended)."""
    for _ in range(100):
        try:
            os.kill(process_id, 0)
            status = Path(f"/proc/{process_id}/stat")
            if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False
