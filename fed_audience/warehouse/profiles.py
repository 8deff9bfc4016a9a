"""Read the connection that dbt uses, from dbt's own `profiles.yml`.

Only `env_var` and the filters `as_text`, `as_bool`, `as_number` and `as_native` are rendered, in
Jinja's sandbox, and only for the chosen target: an unset variable of another one is no error.
"""

from __future__ import annotations

import os
from ast import literal_eval
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jinja2 import StrictUndefined, Undefined
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field, SerializeAsAny

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError
from fed_audience.warehouse.environment import PREFIX, output_of_environment
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.targets import CLOUD_TARGETS, CloudTarget

ENGINE_SETTINGS = ("memory_limit", "threads", "temp_directory", "max_temp_directory_size")
"""Keys of dbt-duckdb's `settings` that we obey; the others concern dbt alone."""

_DEFAULT_SCHEMAS = {"duckdb": "main", "postgres": "public"}


class Profile(StrictModel):
    """The target of a dbt profile, reduced to what we need; a password in it never shows.

    ``path`` is the DuckDB file, absolute; None is a private database in memory. ``postgres``
    is how a target of that type is reached, ``cloud`` the same of the other engines. ``source``
    says where the profile was read.
    """

    path: Path | None = None
    postgres: PostgresTarget | None = None
    cloud: SerializeAsAny[CloudTarget] | None = None
    type: str = "duckdb"
    schema_: str = Field(default="main", alias="schema")
    target: str = "dev"
    settings: dict[str, str | bool | int | float] = Field(default_factory=dict)
    source: str = "profiles.yml"


def load_profile(
    project_dir: Path, profiles_dir: Path | None = None, target: str | None = None
) -> Profile:
    """Return the target that dbt would choose for the project in ``project_dir``.

    Looked for as dbt does when started there: ``profiles_dir`` or DBT_PROFILES_DIR alone if
    given, else the project folder, then `~/.dbt`. Target: ``target``, DBT_TARGET, the
    profile's `target:`, 'default'. A relative DuckDB path is relative to the project folder.
    Where there is no such file, the environment may name the connection instead: see
    ``fed_audience.warehouse.environment``. Raises ConfigError naming where we looked.
    """
    project_dir = project_dir.resolve()
    file = _profiles_file(project_dir, profiles_dir)
    if file is None and (output := output_of_environment()) is not None:
        return _profile_of(output, project_dir, "environment", f"{PREFIX}* in the environment")
    name = _profile_name(project_dir)
    if file is None:
        raise _no_profiles(_folders(project_dir, profiles_dir))
    profiles = _read_mapping(file)
    profile = profiles.get(name)
    if not isinstance(profile, dict):
        _refuse("no profile of that name", name, sorted(profiles), file, "add it to profiles.yml")
    outputs = profile.get("outputs")
    if not isinstance(outputs, dict) or not outputs:
        raise ConfigError(
            f"profile '{name}' has no outputs", looked=str(file), fix="add an output to it"
        )
    chosen = target or os.environ.get("DBT_TARGET") or profile.get("target", "default")
    chosen = str(_rendered(chosen, file))
    output = outputs.get(chosen)
    if not isinstance(output, dict):
        fix = f"add it under '{name}: outputs:', or choose another target with --target"
        _refuse(f"profile '{name}' has no such target", chosen, sorted(outputs), file, fix)
    return _profile_of(_rendered(output, file), project_dir, chosen, f"{file}, {name}: {chosen}")


def _profile_of(output: dict[str, Any], project_dir: Path, target: str, source: str) -> Profile:
    engine = output.get("type")
    if not isinstance(engine, str):
        raise ConfigError(
            "target has no type", looked=source, fix="say which engine it is, e.g. 'type: duckdb'"
        )
    settings = output.get("settings") or {}
    known = {key: settings[key] for key in ENGINE_SETTINGS if key in settings}
    return Profile.parse(
        {
            "type": engine,
            "path": _duckdb_file(output.get("path"), project_dir, source)
            if engine == "duckdb"
            else None,
            "postgres": PostgresTarget.of_output(output, source=source)
            if engine == "postgres"
            else None,
            "cloud": CLOUD_TARGETS[engine].of_output(output, source=source)
            if engine in CLOUD_TARGETS
            else None,
            "schema": output.get("schema")
            or output.get("dataset", _DEFAULT_SCHEMAS.get(engine, "main")),
            "target": target,
            "settings": known,
            "source": source,
        },
        source=source,
    )


def _duckdb_file(path: object, project_dir: Path, source: str) -> Path:
    if not isinstance(path, str) or path == ":memory:" or ":" in path.split("/", 1)[0]:
        raise ConfigError(
            "a DuckDB target needs the path of a file",
            value=None if path is None else str(path).split(":", 1)[0] + ":",
            limit="a file that dbt and fed-audience open in turn; not memory, not a remote service",
            looked=source,
            fix="set path, for example 'path: brand.duckdb'",
        )
    return (project_dir / Path(path).expanduser()).resolve()


def _profile_name(project_dir: Path) -> str:
    project_file = project_dir / "dbt_project.yml"
    name = os.environ.get("DBT_PROFILE") or _read_mapping(project_file).get("profile")
    if not name:
        raise ConfigError(
            "the dbt project names no profile",
            looked=str(project_file),
            fix="add a line 'profile: NAME' to it",
        )
    return str(_rendered(name, project_file))


def _folders(project_dir: Path, profiles_dir: Path | None) -> list[Path]:
    given = profiles_dir or os.environ.get("DBT_PROFILES_DIR")
    folders = [Path(given)] if given else [project_dir, Path.home() / ".dbt"]
    return [folder.resolve() for folder in folders]


def _profiles_file(project_dir: Path, profiles_dir: Path | None) -> Path | None:
    files = (folder / "profiles.yml" for folder in _folders(project_dir, profiles_dir))
    return next((file for file in files if file.is_file()), None)


def _no_profiles(folders: list[Path]) -> ConfigError:
    return ConfigError(
        "no profiles.yml found",
        looked=", ".join(map(str, folders)),
        fix="create it there, say where it is with --profiles-dir or DBT_PROFILES_DIR, or name "
        f"the connection in {PREFIX}TYPE, {PREFIX}HOST and so on",
    )


def _read_mapping(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file.name} cannot be read",
            value=error.strerror,
            looked=str(file),
            fix="point to the folder of a dbt project",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigError("not valid YAML", looked=line, fix="correct that line") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file.name} is empty", looked=str(file), fix="see dbt's documentation")
    return data


class _Marker(str):
    """Text that a filter asked to be turned into another type."""

    __slots__ = ("kind",)
    kind: str


def _marking(kind: str) -> Any:
    def mark(value: object) -> _Marker:
        marker = _Marker(value)
        marker.kind = kind
        return marker

    return mark


class _Environment(SandboxedEnvironment, NativeEnvironment):
    """Sandboxed, and able to yield something other than text."""


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(
            f"environment variable {name} is not set",
            fix=f"export {name}, or give env_var a default",
        )
    return value


_ENVIRONMENT = _Environment(undefined=StrictUndefined)
_ENVIRONMENT.globals = {"env_var": _env_var}
_ENVIRONMENT.filters |= {
    f"as_{kind}": _marking(kind) for kind in ("text", "bool", "number", "native")
}


def _rendered(value: Any, file: Path) -> Any:
    """Render every text in ``value``, however deep."""
    if isinstance(value, dict):
        return {key: _rendered(entry, file) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rendered(entry, file) for entry in value]
    if not isinstance(value, str):
        return value
    try:
        template = _ENVIRONMENT.from_string(value)
        chunks: list[object] = list(template.root_render_func(template.new_context()))
        if len(chunks) == 1 and not isinstance(chunks[0], Undefined):
            return _native(chunks[0], file)
        return "".join(str(chunk) for chunk in chunks)
    except ConfigError as error:
        error.looked = error.looked or f"the environment, for {file}"
        raise
    except Exception as error:  # noqa: BLE001 - an expression may raise anything
        # The text itself may be a password: name the fault, not the text.
        raise ConfigError(
            f"cannot be rendered: {error}",
            looked=str(file),
            fix="use only env_var and the filters as_text, as_bool, as_number, as_native",
        ) from None


def _native(chunk: object, file: Path) -> object:
    if not isinstance(chunk, _Marker):
        return chunk
    if chunk.kind == "text":
        return str(chunk)
    value: object
    try:
        value = literal_eval(chunk)
    except (ValueError, SyntaxError):
        value = str(chunk)
    is_bool = isinstance(value, bool)
    is_number = isinstance(value, int | float) and not is_bool
    if (chunk.kind == "bool" and not is_bool) or (chunk.kind == "number" and not is_number):
        raise ConfigError(
            f"as_{chunk.kind}: the text is not a {chunk.kind}",
            limit="True or False" if chunk.kind == "bool" else "a number such as 4 or 0.5",
            looked=str(file),
            fix="correct the environment variable",
        )
    return value


def _refuse(what: str, value: str, known: list[str], file: Path, fix: str) -> NoReturn:
    raise ConfigError(
        what, value=value, limit=", ".join(known) or "none", looked=str(file), fix=fix
    )
