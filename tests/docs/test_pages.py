"""The pages are true: generated ones are current, links lead somewhere, commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from tests.docs.markdown import program, scripts
from tests.end_to_end.finished_demo import FinishedDemo

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"cli.md"}
REPLAYED = {"your-first-model.md"}
"""Pages that are followed as a whole, by a test of their own."""
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def blocks() -> Iterator[tuple[str, str]]:
    """Page and script of each console block: its lines that begin with a dollar sign."""
    for page in PAGES:
        if page.name in GENERATED | REPLAYED:
            continue
        for script in scripts(page.read_text(encoding="utf-8")):
            yield page.name, script


def makes() -> list[str]:
    return sorted(
        {
            line.split()[1]
            for _, script in blocks()
            for line in script.splitlines()
            if line.startswith("make ")
        }
    )


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_readme_shows_the_two_commands() -> None:
    assert makes() == ["demo", "test"]


@pytest.mark.parametrize("target", makes())
def test_make_targets_that_are_shown_do_what_the_tests_do(target: str) -> None:
    done = subprocess.run(
        [program("make"), "-n", "-C", ROOT, target, f"VENV={sys.prefix}", "PYTHON=false"],
        capture_output=True,
        text=True,
        check=True,
    )
    runs = {"demo": "fed-audience demo --dir .demo", "test": "python -m pytest"}
    assert runs[target] in done.stdout


@pytest.mark.slow
@pytest.mark.dbt
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize(
    ("page", "script"),
    [(page, script) for page, script in blocks() if not script.startswith("make ")],
)
def test_commands_that_are_shown_run(
    page: str, script: str, finished_demo: FinishedDemo, tmp_path: Path
) -> None:
    (tmp_path / ".demo").symlink_to(finished_demo.run.workspace.folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    write_table(tmp_path / "your.csv")
    script = script.replace("CUSTOMER", a_customer(finished_demo))
    environment = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [program("bash"), "-euc", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page}: {script}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def write_table(path: Path) -> None:
    """A table as a newcomer may have it: numbers, a category, gaps, a label called 'bought'."""
    rng = np.random.default_rng(5)
    age = rng.integers(18, 80, 2_000)
    spent = np.round(rng.lognormal(3, 1, 2_000), 2)
    channel = rng.choice(["web", "store", ""], 2_000, p=[0.6, 0.3, 0.1])
    bought = rng.random(2_000) < 1 / (1 + np.exp(-(spent / 40 + (channel == "web") - 2)))
    rows = [
        f"{a},{s},{c},{'yes' if b else 'no'}"
        for a, s, c, b in zip(age, spent, channel, bought, strict=True)
    ]
    path.write_text("\n".join(["age,spent,channel,bought", *rows]) + "\n", encoding="utf-8")


def a_customer(demo: FinishedDemo) -> str:
    site = site_of(load_federation(demo.run.workspace.federation).sites[0])
    with site.open() as warehouse:
        rows = warehouse.query("select min(customer_id) as customer from raw.customers")
    return str(rows["customer"][0].as_py())
