"""The reader of profiles.yml chooses what dbt would choose."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fed_audience.errors import ConfigError
from fed_audience.warehouse.profiles import load_profile

PROFILES = """
brand:
  target: "{{ env_var('BRAND_TARGET', 'dev') }}"
  outputs:
    dev:
      type: duckdb
      path: warehouse/brand.duckdb
      schema: analytics
      threads: "{{ env_var('BRAND_THREADS', '2') | as_number }}"
      settings:
        threads: "{{ env_var('BRAND_ENGINE_THREADS', '3') | as_number }}"
        memory_limit: "{{ env_var('BRAND_GB', '2') }}GB"
        s3_region: eu-west-1
    prod:
      type: duckdb
      path: "{{ env_var('BRAND_PATH') }}"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DBT_PROFILES_DIR", "DBT_PROFILE", "DBT_TARGET", "BRAND_TARGET", "BRAND_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text("name: brand\nprofile: brand\n")
    (folder / "profiles.yml").write_text(PROFILES)
    return folder


def write(project: Path, output: dict[str, Any]) -> None:
    profiles = {"brand": {"target": "dev", "outputs": {"dev": output}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profiles))


def test_the_default_target_is_rendered_and_chosen(project: Path) -> None:
    profile = load_profile(project)
    assert (profile.type, profile.target, profile.schema_) == ("duckdb", "dev", "analytics")
    assert profile.path == project / "warehouse" / "brand.duckdb"
    assert profile.settings == {"threads": 3, "memory_limit": "2GB"}


def test_a_relative_path_is_relative_to_the_project_wherever_we_stand(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_profile(Path("project")).path == project / "warehouse" / "brand.duckdb"


def test_the_target_comes_from_the_call_then_dbt_target_then_the_profile(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAND_PATH", "/data/prod.duckdb")
    assert load_profile(project, target="prod").path == Path("/data/prod.duckdb")
    monkeypatch.setenv("BRAND_TARGET", "prod")
    assert load_profile(project).target == "prod"
    monkeypatch.setenv("DBT_TARGET", "dev")
    assert load_profile(project).target == "dev"
    assert load_profile(project, target="prod").target == "prod"


def test_a_profile_without_target_means_default(project: Path) -> None:
    (project / "profiles.yml").write_text("brand: {outputs: {default: {type: duckdb, path: b.db}}}")
    assert load_profile(project).target == "default"


def test_an_unset_variable_of_the_chosen_target_is_named(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"BRAND_PATH is not set.*profiles\.yml.*export"):
        load_profile(project, target="prod")


def test_the_file_is_looked_for_where_dbt_looks(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / ".dbt"
    home.mkdir(parents=True)
    (project / "profiles.yml").rename(home / "profiles.yml")
    assert load_profile(project).source.startswith(str(home))
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        load_profile(project)
    assert caught.value.looked == str(tmp_path)
    assert load_profile(project, profiles_dir=home).target == "dev"


def test_without_any_file_both_places_are_named(project: Path, tmp_path: Path) -> None:
    (project / "profiles.yml").unlink()
    with pytest.raises(ConfigError) as caught:
        load_profile(project)
    assert caught.value.looked == f"{project}, {tmp_path / 'home' / '.dbt'}"


def test_an_unknown_target_lists_the_known_ones(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"value: staging; allowed: dev, prod"):
        load_profile(project, target="staging")


def test_an_unknown_profile_lists_the_known_ones(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: brand\nprofile: brnd\n")
    with pytest.raises(ConfigError, match=r"value: brnd; allowed: brand"):
        load_profile(project)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("dbt_project.yml", "name: brand\n", "names no profile"),
        ("dbt_project.yml", "a: [", "not valid YAML"),
        ("dbt_project.yml", "", "empty"),
        ("profiles.yml", "brand: {target: dev}", "no outputs"),
        ("profiles.yml", "brand: {target: dev, outputs: {dev: {path: x}}}", "has no type"),
        ("profiles.yml", "brand: {target: '{{ nope() }}', outputs: {dev: {}}}", "'nope'"),
        ("profiles.yml", "brand: {target: '{{ 1', outputs: {dev: {}}}", "cannot be rendered"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    project: Path, file: str, text: str, says: str
) -> None:
    (project / file).write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_profile(project)
    assert file in str(caught.value)


def test_a_missing_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/dbt_project\.yml"):
        load_profile(tmp_path / "nowhere")


@pytest.mark.parametrize("path", [":memory:", "md:brand", "s3://bucket/brand.duckdb", None])
def test_only_a_file_can_be_shared_with_dbt(project: Path, path: str | None) -> None:
    write(project, {"type": "duckdb", "path": path})
    with pytest.raises(ConfigError, match="path of a file"):
        load_profile(project)


def test_a_token_in_a_path_does_not_reach_the_message(project: Path) -> None:
    write(project, {"type": "duckdb", "path": "md:brand?motherduck_token=s3cr3t"})
    with pytest.raises(ConfigError) as caught:
        load_profile(project)
    assert "s3cr3t" not in str(caught.value)


def test_credentials_of_another_engine_are_not_kept(project: Path) -> None:
    write(project, {"type": "oracle", "host": "db", "password": "s3cr3t", "schema": "crm"})
    profile = load_profile(project)
    assert (profile.type, profile.schema_, profile.path) == ("oracle", "crm", None)
    assert "s3cr3t" not in repr(profile)


POSTGRES: dict[str, Any] = {
    "type": "postgres",
    "host": "db.example.org",
    "port": 6543,
    "user": "brand",
    "password": "s3cr3t",
    "dbname": "warehouse",
    "schema": "crm",
}


def test_a_postgres_target_is_taken_and_its_password_never_shows(project: Path) -> None:
    write(project, POSTGRES)
    profile = load_profile(project)
    assert (profile.type, profile.schema_, profile.path) == ("postgres", "crm", None)
    assert profile.postgres is not None
    assert profile.postgres.where == "PostgreSQL at db.example.org:6543/warehouse"
    assert profile.postgres.password.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(profile) + str(profile) + profile.model_dump_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user": None}, "user: Field required"),
        ({"port": "many"}, "port: Input should be a valid integer"),
        ({"port": 70_000}, "port: .*less than or equal to 65535"),
        ({"password": 1234}, "password: Input should be a valid string"),
    ],
)
def test_a_wrong_key_of_a_postgres_target_is_named(
    project: Path, change: dict[str, Any], says: str
) -> None:
    write(project, {**POSTGRES, **change})
    with pytest.raises(ConfigError, match=says) as caught:
        load_profile(project)
    assert "1234" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


POSTGRES_OUTPUTS: list[dict[str, Any]] = [
    {},
    {"port": "{{ env_var('PORT') | as_number }}", "password": "{{ env_var('SECRET') }}"},
    {"pass": "{{ env_var('DBT_ENV_SECRET_PASS') }}", "password": None},
    {"database": "other", "dbname": None},
    {"role": "analyst", "search_path": "crm, public", "sslmode": "require"},
    {"sslrootcert": "/ca.pem", "sslcert": "/c.pem", "sslkey": "/k.pem"},
    {"connect_timeout": 3, "keepalives_idle": 60, "threads": 4, "retries": 3},
    {"port": 5432.5},
    {"host": None},
]


@pytest.mark.parametrize("output", POSTGRES_OUTPUTS, ids=str)
def test_a_postgres_target_means_what_it_means_to_dbt(
    project: Path, monkeypatch: pytest.MonkeyPatch, output: dict[str, Any]
) -> None:
    from dbt.adapters.postgres import PostgresCredentials  # noqa: PLC0415 - costs seconds

    variables = {"PORT": "6000", "SECRET": "from the environment"}
    variables["DBT_ENV_SECRET_PASS"] = "a secret of dbt's"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    full = {key: value for key, value in {**POSTGRES, **output}.items() if value is not None}
    write(project, full)
    rendered = dbt_renders(full)
    rendered.pop("type")
    rendered.pop("threads", None)
    theirs: Any
    try:
        data = PostgresCredentials.translate_aliases(rendered)
        PostgresCredentials.validate(data)
        theirs = PostgresCredentials.from_dict(data)
    except Exception:  # noqa: BLE001 - whatever dbt raises: it refuses
        with pytest.raises(ConfigError):
            load_profile(project)
        return
    ours = load_profile(project).postgres
    assert ours is not None
    for key in type(ours).model_fields:
        expected = theirs.database if key == "dbname" else getattr(theirs, key)
        mine = ours.password.get_secret_value() if key == "password" else getattr(ours, key)
        assert mine == expected, key


ENVIRONMENT = {
    "TYPE": "postgres",
    "HOST": "db",
    "USER": "agent",
    "PASSWORD": "s3cr3t",
    "DBNAME": "warehouse",
    "SCHEMA": "crm",
}


@pytest.fixture
def bare(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without profiles.yml, its connection in the environment."""
    (project / "profiles.yml").unlink()
    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(f"FED_AUDIENCE_WAREHOUSE_{key}", value)
    return project


def test_the_environment_names_the_connection_where_no_file_does(bare: Path) -> None:
    profile = load_profile(bare)
    assert (profile.type, profile.schema_, profile.target) == ("postgres", "crm", "environment")
    assert profile.postgres is not None
    assert (profile.postgres.where, profile.postgres.port) == (
        "PostgreSQL at db:5432/warehouse",
        5432,
    )
    assert "s3cr3t" not in repr(profile)


def test_a_file_wins_over_the_environment(bare: Path) -> None:
    write(bare, {"type": "duckdb", "path": "b.db"})
    assert load_profile(bare).type == "duckdb"


def test_the_password_may_stand_in_a_file(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FED_AUDIENCE_WAREHOUSE_PASSWORD")
    (tmp_path / "password").write_text("from a file\n")
    monkeypatch.setenv("FED_AUDIENCE_WAREHOUSE_PASSWORD_FILE", str(tmp_path / "password"))
    profile = load_profile(bare)
    assert profile.postgres is not None
    assert profile.postgres.password.get_secret_value() == "from a file"


def test_a_mistyped_variable_of_the_connection_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FED_AUDIENCE_WAREHOUSE_SSLMOD", "require")
    with pytest.raises(ConfigError, match="did you mean FED_AUDIENCE_WAREHOUSE_SSLMODE"):
        load_profile(bare)


def test_a_variable_that_is_missing_is_named_by_its_key(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FED_AUDIENCE_WAREHOUSE_HOST")
    with pytest.raises(ConfigError, match=r"host: Field required.*FED_AUDIENCE_WAREHOUSE_\*"):
        load_profile(bare)


@pytest.mark.parametrize(
    "attack",
    ["{{ ''.__class__.__mro__ }}", "{{ env_var.__globals__ }}", "{% include '/etc/passwd' %}"],
)
def test_a_profile_cannot_run_code(project: Path, attack: str) -> None:
    write(project, {"type": "duckdb", "path": attack})
    with pytest.raises(ConfigError, match="cannot be rendered"):
        load_profile(project)


@pytest.mark.parametrize(("kind", "text"), [("number", "many"), ("bool", "1"), ("number", "True")])
def test_a_text_that_is_not_of_the_asked_type_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, kind: str, text: str
) -> None:
    monkeypatch.setenv("BRAND_VALUE", text)
    value = f"{{{{ env_var('BRAND_VALUE') | as_{kind} }}}}"
    write(project, {"type": "duckdb", "path": "b.db", "settings": {"threads": value}})
    with pytest.raises(ConfigError, match=f"not a {kind}"):
        load_profile(project)


OUTPUTS: list[dict[str, Any]] = [
    {"settings": {"threads": "{{ env_var('N') | as_number }}"}},
    {"settings": {"threads": "{{ env_var('N') }}"}},
    {"settings": {"threads": "{{ env_var('N') | as_text }}"}},
    {"settings": {"threads": "{{ env_var('N') | as_native }}"}},
    {"settings": {"threads": "{{ env_var('HALF') | as_number }}"}},
    {"settings": {"threads": "{{ env_var('YES') | as_bool }}"}},
    {"settings": {"temp_directory": "/data/{{ env_var('N') }}/{{ env_var('ABSENT', 'x') }}"}},
    {"settings": {"temp_directory": "{{ env_var('DBT_ENV_SECRET_PLACE') }}"}},
    {"settings": {"memory_limit": "{{ env_var('N') | as_number + 1 }}GB"}},
    {"settings": {"memory_limit": ""}},
    {"schema": "{{ env_var('NAME') | upper }}"},
    {"schema": "plain"},
]


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_rendering_agrees_with_dbt(
    project: Path, monkeypatch: pytest.MonkeyPatch, output: dict[str, Any]
) -> None:
    variables = {"N": "4", "HALF": "0.5", "YES": "True", "NAME": "crm"}
    variables["DBT_ENV_SECRET_PLACE"] = "/secret/place"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    full = {"type": "duckdb", "path": "b.db", "schema": "main", **output}
    write(project, full)
    theirs: Any
    try:
        theirs = dbt_renders(full)
    except Exception:  # noqa: BLE001 - whatever dbt raises: it refuses
        with pytest.raises(ConfigError):
            load_profile(project)
        return
    ours = load_profile(project)
    assert ours.schema_ == theirs["schema"]
    assert dict(ours.settings) == theirs.get("settings", {})
    for key, kept in ours.settings.items():
        assert type(kept) is type(theirs["settings"][key])


def dbt_renders(output: dict[str, Any]) -> Any:
    """What dbt's own loader makes of one target, without starting a command."""
    import os  # noqa: PLC0415

    from dbt import flags  # noqa: PLC0415 - costs seconds
    from dbt.config.profile import Profile  # noqa: PLC0415
    from dbt.config.renderer import ProfileRenderer  # noqa: PLC0415
    from dbt_common.context import set_invocation_context  # noqa: PLC0415

    set_invocation_context(os.environ)
    flags.set_flags(SimpleNamespace(LOG_CACHE_EVENTS=False))
    raw = {"target": "dev", "outputs": {"dev": output}}
    return Profile.render_profile(raw, "brand", None, ProfileRenderer({}))[1]
