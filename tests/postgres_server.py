"""A PostgreSQL server for tests: the one that the environment names, or one of their own.

A server of their own lives in a folder that is deleted with it, and asks for a password. Its order
of text is English, not that of bytes, so that a query that relies on bytes is noticed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql
from pydantic import SecretStr

from fed_audience.warehouse.postgres.target import PostgresTarget

DSN = "FED_AUDIENCE_TEST_POSTGRES_DSN"
# Nothing of it outlives the tests, so nothing waits for a disk.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")


class NoServerError(Exception):
    """There is no PostgreSQL server on this machine, and none was named."""


@dataclass
class PostgresServer:
    """Makes databases, and drops them when the tests have ended."""

    options: dict[str, Any]
    made: list[str] = field(default_factory=list)

    def new_database(self) -> PostgresTarget:
        """Create an empty database."""
        name = f"fed_audience_test_{secrets.token_hex(6)}"
        with self._administering() as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        self.made.append(name)
        return self._target(name)

    def emptied_database(self) -> PostgresTarget:
        """Return a database that holds nothing: always the same, for a new one takes long to drop.

        Whoever still reads or writes in it is cut off.
        """
        if not self.made:
            self.new_database()
        target = self._target(self.made[0])
        with psycopg.connect(**{**self.options, "dbname": target.dbname}, autocommit=True) as own:
            own.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            schemas = own.execute(
                "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)'"
            ).fetchall()
            for (schema,) in schemas:
                own.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
            own.execute("create schema public")
            own.execute("grant all on schema public to public")
        return target

    def _target(self, name: str) -> PostgresTarget:
        return PostgresTarget(
            host=self.options.get("host", "127.0.0.1"),
            port=self.options.get("port", 5432),
            user=self.options["user"],
            password=SecretStr(self.options.get("password", "")),
            dbname=name,
        )

    def drop_databases(self) -> None:
        with self._administering() as connection:
            for name in self.made:
                statement = sql.SQL("drop database if exists {} with (force)")
                connection.execute(statement.format(sql.Identifier(name)))

    @contextmanager
    def _administering(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(**self.options, autocommit=True) as connection:
            yield connection


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Yield a server; raises NoServerError, saying what to do, where there is none to start."""
    if given := os.environ.get(DSN):
        server = PostgresServer(dict(conninfo.conninfo_to_dict(given)))
        yield server
        server.drop_databases()
        return
    binaries = _binaries()
    if binaries is None:
        message = f"no PostgreSQL server: install Debian's package postgresql, or set {DSN}"
        raise NoServerError(message)
    # The account that runs the server must be able to enter; a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="fed-audience-pg-", dir="/tmp"))
    try:
        with _started(folder, binaries) as options:
            yield PostgresServer(options)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(folder: Path, binaries: Path) -> Iterator[dict[str, Any]]:
    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    as_user = _as_unprivileged(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (*_FAST, "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
    options = f"-p {port} " + " ".join(f"-c {setting}" for setting in settings)
    data = str(folder / "data")
    initdb = [str(binaries / "initdb"), "-D", data, "-U", "test", "--no-sync", "-E", "UTF8"]
    initdb += ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--locale=C.UTF-8"]
    initdb += ["--locale-provider=icu", "--icu-locale=en-US"]
    control = [str(binaries / "pg_ctl"), "-D", data, "-w"]
    _run([*as_user, *initdb])
    _run([*as_user, *control, "-l", str(folder / "log"), "-o", options, "start"])
    try:
        yield {
            "host": "127.0.0.1",
            "port": port,
            "user": "test",
            "password": password,
            "dbname": "postgres",
        }
    finally:
        _run([*as_user, *control, "-m", "immediate", "stop"])


def _run(command: list[str]) -> None:
    # Its output goes to a file: a server that inherits a pipe would keep it open.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(command, check=False, stdout=said, stderr=said, cwd="/")
        said.seek(0)
        assert done.returncode == 0, said.read()


def _binaries() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    return versions[-1].parent if versions else None


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdecimal() else 0


def _as_unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: hand the folder to the account that Debian makes."""
    if os.getuid() != 0:
        return []
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
