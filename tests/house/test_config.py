from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience.config import StrictModel, load_yaml, secret_from_environment
from fed_audience.errors import ConfigError


class Inner(StrictModel):
    threshold: float


class Outer(StrictModel):
    learning_rate: float = 0.1
    inner: Inner | None = None


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yml"
    path.write_text(text)
    return path


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'learning_rat'.*did you mean 'learning_rate'"):
        load_yaml(write(tmp_path, "learning_rat: 0.2"), Outer)


def test_an_unknown_key_far_from_all_lists_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"known keys: \['inner', 'learning_rate'\]"):
        load_yaml(write(tmp_path, "qqq: 1"), Outer)


def test_a_nested_fault_is_named_with_its_path_and_file(tmp_path: Path) -> None:
    path = write(tmp_path, "inner: {threshold: high}")
    with pytest.raises(ConfigError, match=r"inner\.threshold") as caught:
        load_yaml(path, Outer)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1", "not valid YAML"), ("- 1", "must be a mapping"), ("", "must be a mapping")],
)
def test_what_is_not_a_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_yaml(write(tmp_path, text), Outer)


def test_a_missing_file_says_where_we_looked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml"):
        load_yaml(tmp_path / "nowhere.yml", Outer)


def test_a_secret_comes_from_the_variable_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    assert secret_from_environment("A_SECRET").get_secret_value() == "from file"
    monkeypatch.setenv("A_SECRET", "from variable")
    assert secret_from_environment("A_SECRET").get_secret_value() == "from variable"


def test_a_missing_secret_names_both_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_SECRET", raising=False)
    with pytest.raises(ConfigError, match="A_SECRET and A_SECRET_FILE"):
        secret_from_environment("A_SECRET")


def test_an_unreadable_secret_file_is_named_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone"):
        secret_from_environment("A_SECRET")


@pytest.mark.parametrize(
    ("body", "words"), [(b" \n", "secret file is empty"), (b"\xff\xfe", "not UTF-8 text")]
)
def test_a_secret_file_without_text_is_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: bytes, words: str
) -> None:
    (tmp_path / "secret").write_bytes(body)
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigError, match=words):
        secret_from_environment("A_SECRET")


def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.yml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match=r"not UTF-8 text; looked in: .*binary\.yml, byte 6"):
        load_yaml(path, Outer)
