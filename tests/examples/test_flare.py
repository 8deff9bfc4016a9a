"""FLARE's own provisioning, server and clients: the same model as in one process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nvflare", reason="the extra flare is not installed")

import psutil
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.workspace import Workspace
from nvflare.app_common.widgets.component_path_authorizer import ComponentPathAuthorizer

from fed_audience.jobs.flare_agent import AgentExecutor
from fed_audience.jobs.flare_coordinator import CoordinatorController


@pytest.mark.xdist_group("demo")
def test_a_killed_client_comes_back_in_the_next_job_to_the_same_model(
    repository: Path, tmp_path: Path, brands_of_examples: Path
) -> None:
    script = repository / "examples" / "flare" / "run.py"
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            *("--dir", str(tmp_path)),
            *("--data", str(brands_of_examples)),
            *("--customers", "3000"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    logs = "".join(path.read_text()[-3_000:] for path in tmp_path.glob("flare/*/*/*/output.txt"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    hashes = re.findall(r"(?:in one process|through FLARE): +([0-9a-f]{64})", done.stdout)
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    assert done.stdout.count("submitted job") == 2
    assert "killed the job's process at site-2" in done.stdout
    assert "the job ended: FINISHED:EXECUTION_EXCEPTION" in done.stdout
    assert [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in words(one)] == []


def words(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())


def job_files(repository: Path) -> dict[str, str]:
    folder = repository / "examples" / "flare" / "job"
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_job_ships_no_code_and_the_page_shows_all_of_it(repository: Path) -> None:
    files = job_files(repository)
    assert {Path(name).suffix for name in files} == {".json"}
    page = (repository / "docs" / "flare.md").read_text()
    shown = [
        json.loads(text)
        for text in re.findall(r"^```json\n(\{.*?)^```", page, re.MULTILINE | re.DOTALL)
    ]
    server = json.loads(files["config_fed_server.json"])
    server["workflows"][0]["args"]["wait_seconds"] = 3600
    assert server in shown
    for name in ("meta.json", "config_fed_client.json"):
        assert json.loads(files[name]) in shown


def test_flare_loads_our_classes_where_a_site_allows_them_and_nowhere_else(
    repository: Path, tmp_path: Path
) -> None:
    named = re.findall(r"fed_audience\.[\w.]+", "".join(job_files(repository).values()))
    classes = (CoordinatorController, AgentExecutor)
    assert sorted(named) == sorted(f"{one.__module__}.{one.__name__}" for one in classes)
    for folder in ("local", "startup"):
        (tmp_path / folder).mkdir()
    workspace = Workspace(str(tmp_path), "site-1")
    resources = tmp_path / "local" / "resources.json"
    for path in named:
        resources.write_text(json.dumps({"class_allow_list": ["nvflare.app_common."]}))
        with pytest.raises(UnsafeComponentError, match="is not in allow_list"):
            ComponentPathAuthorizer().authorize_component_config(
                {"path": path}, None, None, workspace
            )
        resources.write_text(json.dumps({"class_allow_list": ["fed_audience.jobs."]}))
        ComponentPathAuthorizer().authorize_component_config({"path": path}, None, None, workspace)
