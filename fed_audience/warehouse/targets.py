"""How to reach the engines of the cloud: the keys of a dbt target of each type.

Keys that concern dbt alone are left to it. A secret never shows.
"""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import Field, SecretStr, model_validator

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError


class CloudTarget(StrictModel):
    """What every one of them has: where its relations stand when a name says only the schema."""

    schema_: str = Field(alias="schema")

    @classmethod
    def of_output(cls, output: dict[str, Any], *, source: str) -> Self:
        """Take what concerns us from a rendered dbt target; raises ConfigError naming the key."""
        keys = {field.alias or name for name, field in cls.model_fields.items()}
        known = {key: output[key] for key in keys if output.get(key) is not None}
        return cls.parse(known, source=source)

    @property
    def where(self) -> str:
        """The place, for messages."""
        raise NotImplementedError


class SnowflakeTarget(CloudTarget):
    """An account of Snowflake; by password, by key file, by token or through a browser."""

    account: str
    user: str | None = None
    database: str
    warehouse: str | None = None
    role: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    authenticator: str | None = None
    private_key_path: str | None = None
    private_key_passphrase: SecretStr | None = None
    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65_535)
    protocol: str | None = None
    connect_timeout: int = Field(default=60, ge=1)
    query_tag: str | None = None

    @property
    def where(self) -> str:
        """Account and database."""
        return f"Snowflake account {self.account}, database {self.database}"

    def connection_options(self) -> dict[str, Any]:
        """Return what `snowflake.connector.connect` takes, secrets among it."""
        options: dict[str, Any] = {
            "private_key_file": self.private_key_path,
            "private_key_file_pwd": _shown(self.private_key_passphrase),
            "password": _shown(self.password),
            "token": _shown(self.token),
            "login_timeout": self.connect_timeout,
        }
        for key in ("account", "user", "database", "warehouse", "role", "authenticator"):
            options[key] = getattr(self, key)
        for key in ("host", "port", "protocol"):
            options[key] = getattr(self, key)
        return {key: value for key, value in options.items() if value is not None}


class BigQueryTarget(CloudTarget):
    """A project of Google Cloud; by what the machine is logged in with, or by a service account."""

    schema_: str = Field(alias="dataset")
    project: str
    method: str = "oauth"
    keyfile: str | None = None
    location: str | None = None

    @classmethod
    def of_output(cls, output: dict[str, Any], *, source: str) -> Self:
        """As of every target; dbt takes `schema` for `dataset` and `database` for `project`."""
        named = {"dataset": output.get("schema"), "project": output.get("database")}
        return super().of_output({**named, **output}, source=source)

    @model_validator(mode="after")
    def _known_method(self) -> Self:
        allowed = {"oauth": False, "service-account": True}
        if self.method not in allowed or allowed[self.method] != (self.keyfile is not None):
            raise ConfigError(
                "this way to log in to BigQuery is not supported",
                value=self.method,
                limit="oauth without a keyfile, service-account with one",
                fix="set `method`, and `keyfile` to the path of the key",
            )
        return self

    @property
    def where(self) -> str:
        """Project and data set."""
        return f"BigQuery project {self.project}, data set {self.schema_}"


class DatabricksTarget(CloudTarget):
    """A SQL warehouse or cluster of Databricks, by token."""

    host: str
    http_path: str
    token: SecretStr
    catalog: str | None = None

    @property
    def where(self) -> str:
        """The workspace."""
        return f"Databricks at {self.host}"


class SparkTarget(CloudTarget):
    """A Spark session in this process, or a server of Spark Connect (`host: sc://...`)."""

    host: str = "NA"
    method: str = "session"
    server_side_parameters: dict[str, str | bool | int | float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_method(self) -> Self:
        if self.method != "session":
            raise ConfigError(
                "this way to reach Spark is not supported",
                value=self.method,
                limit="session",
                fix="set `method: session`, and `host: sc://HOST:PORT` for Spark Connect",
            )
        return self

    @property
    def where(self) -> str:
        """The session, or its server."""
        remote = self.host.partition("/;")[0] if self.host.startswith("sc://") else None
        return f"Spark at {remote}" if remote else "Spark in this process"


CLOUD_TARGETS: Final[dict[str, type[CloudTarget]]] = {
    "snowflake": SnowflakeTarget,
    "bigquery": BigQueryTarget,
    "databricks": DatabricksTarget,
    "spark": SparkTarget,
}
"""dbt's word for an engine -> its target."""


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
