"""How to reach a PostgreSQL database: the keys of a dbt target of type postgres."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, SecretStr

from fed_audience.config import StrictModel

_ALIASES: Final = {"pass": "password", "database": "dbname"}


class PostgresTarget(StrictModel):
    """What dbt-postgres takes to connect, with its defaults; the password never shows.

    ``role`` is set after connecting; ``search_path`` too. ``connect_timeout`` is in seconds.
    """

    host: str
    user: str
    password: SecretStr
    dbname: str
    port: int = Field(default=5432, ge=1, le=65_535)
    connect_timeout: int = Field(default=10, ge=0)
    keepalives_idle: int = Field(default=0, ge=0)
    role: str | None = None
    search_path: str | None = None
    sslmode: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    sslrootcert: str | None = None

    @classmethod
    def of_output(cls, output: dict[str, Any], *, source: str) -> PostgresTarget:
        """Take what concerns us from a rendered dbt target; raises ConfigError naming the key."""
        named = {_ALIASES.get(key, key): value for key, value in output.items()}
        known = {key: named[key] for key in cls.model_fields if named.get(key) is not None}
        return cls.parse(known, source=source)

    @property
    def where(self) -> str:
        """Server and database, for messages."""
        return f"PostgreSQL at {self.host}:{self.port}/{self.dbname}"

    def connection_options(self) -> dict[str, str | int]:
        """Return what libpq takes, the password among it."""
        options: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.get_secret_value(),
            "dbname": self.dbname,
            "connect_timeout": self.connect_timeout,
            "application_name": "fed-audience",
        }
        if self.keepalives_idle:
            options["keepalives_idle"] = self.keepalives_idle
        for key in ("sslmode", "sslcert", "sslkey", "sslrootcert"):
            if value := getattr(self, key):
                options[key] = value
        return options
