"""Configuration borders: strict models, nearest-key hints, YAML, secrets by reference."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ModelT = TypeVar("ModelT", bound="StrictModel")


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_nearest_key(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        known = _keys_of(cls)
        if data.keys() <= known:
            return data
        key = next(key for key in data if key not in known)
        near = get_close_matches(str(key), sorted(known), n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {sorted(known)}"
        message = f"unknown key '{key}' in {cls.__name__}; {hint}"
        raise ValueError(message)

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, source: str) -> Self:
        """Validate ``data`` read from ``source``; raise ConfigError in one line."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or cls.__name__
            text = str(first["msg"]).removeprefix("Value error, ")
            raise ConfigError(
                f"{where}: {text}",
                looked=source,
                fix="correct that key; nothing was started",
            ) from None


@cache
def _keys_of(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def load_yaml(path: Path, model: type[ModelT]) -> ModelT:
    """Read one YAML file into ``model``; raise ConfigError when it is missing or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "configuration file cannot be read",
            value=error.strerror,
            looked=str(path),
            fix="give its path with --config, or create it",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "configuration file is not UTF-8 text",
            looked=f"{path}, byte {error.start}",
            fix="give the path of a YAML file",
        ) from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError("not valid YAML", looked=line, fix="correct that line") from error
    if not isinstance(data, dict):
        raise ConfigError(
            "configuration must be a mapping of keys",
            value=type(data).__name__,
            looked=str(path),
            fix="start it with a key such as 'sites:'",
        )
    return model.parse(data, source=str(path))


def secret_from_environment(name: str) -> SecretStr:
    """Read a secret from variable ``name``, or from the file that ``name``_FILE points to.

    Raises ConfigError naming both places when neither is set, or the file holds no text; the
    value never appears.
    """
    if value := os.environ.get(name):
        return SecretStr(value)
    if file := os.environ.get(f"{name}_FILE"):
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                "secret file cannot be read",
                value=getattr(error, "strerror", None) or "not UTF-8 text",
                looked=f"{name}_FILE={file}",
                fix="point the variable at a readable file of text",
            ) from None
        if value:
            return SecretStr(value)
        raise ConfigError(
            "secret file is empty",
            looked=f"{name}_FILE={file}",
            fix="put the secret into it, or point the variable at another file",
        )
    raise ConfigError(
        f"secret {name} is not set",
        looked=f"environment variables {name} and {name}_FILE",
        fix=f"export {name}, or put it in a file and export {name}_FILE",
    )
