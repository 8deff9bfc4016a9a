from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fed_audience.gbdt import kernel_cache

IMPORT = """
import os
import fed_audience.gbdt
from numba import config
print(os.environ["NUMBA_CACHE_DIR"])
print(config.CACHE_DIR)
"""


def run(program: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("first", ["", "import numba\n"], ids=["numba later", "numba first"])
def test_kernels_are_kept_below_the_folder_that_the_user_chose(tmp_path: Path, first: str) -> None:
    variable, used = run(first + IMPORT, NUMBA_CACHE_DIR=str(tmp_path))
    assert variable == used
    assert Path(used).parent == tmp_path


def test_compiled_code_is_found_there(tmp_path: Path) -> None:
    mix = "import numpy as np\nfrom fed_audience.gbdt.growing.sampling import keyed\n"
    run(mix + "keyed(np.zeros(1, np.uint64), seed=0, use='x')", NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*.nbi"))


def test_a_child_process_uses_the_same_folder(tmp_path: Path) -> None:
    once, _ = run(IMPORT, NUMBA_CACHE_DIR=str(tmp_path))
    assert run(IMPORT, NUMBA_CACHE_DIR=once) == [once, once]


def test_another_source_means_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "kernels.py").write_text(text)
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
        monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "kernel_cache.py"))
        kernel_cache.use_own_folder()
        names.append(Path(os.environ["NUMBA_CACHE_DIR"]).name)
    assert len(set(names)) == 2


def test_without_a_choice_it_is_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel_cache.use_own_folder()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == tmp_path / "fed-audience"
