"""The whole job's frame: what is checked before it, and how it stops."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from fed_audience.errors import ConfigError, DbtError, RunInterrupted
from fed_audience.jobs.pipeline import (
    Listeners,
    Secrets,
    build_brands,
    check_settings,
    run_pipeline,
)
from fed_audience.warehouse import dbt
from tests.jobs.small_federation import NOW, SmallFederation


@pytest.fixture
def script(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """A program in the place of dbt, which leaves a file in the brand's folder when it starts."""
    path = tmp_path / "dbt"
    path.write_text("#!/bin/sh\ntouch started-$2\nexec sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setattr(dbt, "dbt_executable", lambda: str(path))
    for brand in ("ant", "bee"):
        (small_federation.folder / brand / "dbt_packages").mkdir()
    return path


def started(federation: SmallFederation) -> list[str]:
    # In the brands' folders alone: others come and go while the watcher looks.
    found = federation.folder.glob("*/started*")
    return sorted(str(one.relative_to(federation.folder)) for one in found)


def test_ctrl_c_ends_every_dbt_and_starts_no_other(
    small_federation: SmallFederation, script: Path
) -> None:
    small_federation.edit("models:", "  - {name: cat, project: ant}\nmodels:")

    main = threading.get_ident()
    assert main == threading.main_thread().ident

    def press() -> None:
        while len(started(small_federation)) < 2:
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    began = time.monotonic()
    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(RunInterrupted, match="stopped while dbt was running"):
        build_brands(small_federation.settings, as_of=NOW)
    assert time.monotonic() - began < 30
    assert started(small_federation) == ["ant/started-build", "bee/started-build"]
    assert not [one for one in threading.enumerate() if one.name.startswith("dbt")]


def test_a_failing_build_keeps_others_from_starting(
    small_federation: SmallFederation, script: Path
) -> None:
    script.write_text("#!/bin/sh\ntouch started-$2\necho broken\nexit 1\n")
    with pytest.raises(DbtError, match="dbt build failed: broken"):
        build_brands(small_federation.settings, as_of=NOW)


def test_packages_are_fetched_where_there_are_none(
    small_federation: SmallFederation, script: Path
) -> None:
    script.write_text("#!/bin/sh\ntouch started-$2\n")
    (small_federation.folder / "ant" / "dbt_packages").rmdir()
    build_brands(small_federation.settings, as_of=NOW)
    assert started(small_federation) == [
        "ant/started-build",
        "ant/started-deps",
        "bee/started-build",
    ]


def test_one_model_is_built_with_what_it_reads(
    small_federation: SmallFederation, script: Path
) -> None:
    script.write_text('#!/bin/sh\necho "$@" > arguments\n')
    build_brands(small_federation.settings, as_of=NOW, select="repurchase")
    told = (small_federation.folder / "ant" / "arguments").read_text()
    assert (
        "build --select +config.meta.fed_audience.model:repurchase +tag:fed_prepare +tag:fed_score"
        in told
    )


def test_views_keep_to_the_clock_unless_an_instant_was_asked_for(
    small_federation: SmallFederation, script: Path
) -> None:
    script.write_text('#!/bin/sh\necho "$@" > arguments\n')
    for live in (False, True):
        build_brands(small_federation.settings, as_of=NOW, live=live)
        told = (small_federation.folder / "ant" / "arguments").read_text()
        assert "fed_audience__as_of" in told
        assert ("fed_audience__live_views" in told) is live


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("project: bee", "project: wasp", r"wasp/dbt_project\.yml"),
        ("type: file", "type: fle", "did you mean 'file'"),
        ("folder: delivered", "foldr: delivered", "did you mean 'folder'"),
    ],
)
def test_a_site_or_destination_that_cannot_be_used_is_met_first(
    small_federation: SmallFederation, old: str, new: str, words: str
) -> None:
    check_settings(small_federation.settings, base=small_federation.folder)
    small_federation.edit(old, new)
    steps: list[str] = []
    with pytest.raises(ConfigError, match=words):
        run_pipeline(
            small_federation.settings,
            base=small_federation.folder,
            as_of=NOW,
            secrets=Secrets(SecretStr("c" * 32), SecretStr("s" * 32)),
            listeners=Listeners(on_step=steps.append),
        )
    assert steps == []


def test_destinations_do_not_matter_to_a_dry_run(small_federation: SmallFederation) -> None:
    small_federation.edit("type: file", "type: fle")
    check_settings(small_federation.settings, base=small_federation.folder, deliver=False)
