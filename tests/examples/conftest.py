"""The scripts of the examples as modules, and the real file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = "online_retail_2010_2011.csv.gz"


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def example(repository: Path) -> Path:
    return repository / "examples" / "online_retail"


@pytest.fixture(scope="session")
def preparing(example: Path) -> ModuleType:
    return script(example / "prepare.py")


@pytest.fixture(scope="session")
def comparing(example: Path) -> ModuleType:
    return script(example / "compare.py")


@pytest.fixture(scope="session")
def brands_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples build the same three brands with dbt; the second one finds them built.

    Tests that ask for it carry ``pytest.mark.xdist_group("demo")``, so that one worker runs them.
    """
    return tmp_path_factory.mktemp("brands")


@pytest.fixture(scope="session")
def real_file(shared_data: Path) -> Path:
    file = shared_data / FILE
    if not file.is_file():
        pytest.skip(f"the Online Retail file is not at {file}")
    return file
