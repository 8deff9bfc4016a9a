"""A connection named in the environment, for an agent that has no profiles.yml.

The keys are those of a dbt target, in capitals and with a prefix: FED_AUDIENCE_WAREHOUSE_TYPE,
_HOST, _PORT, _USER, _PASSWORD (or _PASSWORD_FILE), _DBNAME, _SCHEMA, _SSLMODE, or _PATH of a DuckDB
file; and those of the cloud's engines, such as _ACCOUNT, _PROJECT, _HTTP_PATH or _TOKEN. Read only
where dbt would find no profiles.yml.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any, Final

from fed_audience.config import secret_from_environment
from fed_audience.errors import ConfigError
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.targets import CLOUD_TARGETS

PREFIX: Final = "FED_AUDIENCE_WAREHOUSE_"

_SECRETS: Final = ("password", "token", "private_key_passphrase")
_FILES: Final = tuple(f"{secret}_file" for secret in _SECRETS)
_KEYS: Final = tuple(
    dict.fromkeys(
        (
            *("type", "schema", "path", *PostgresTarget.model_fields),
            *(
                field.alias or name
                for target in CLOUD_TARGETS.values()
                for name, field in target.model_fields.items()
            ),
        )
    )
)


def output_of_environment() -> dict[str, Any] | None:
    """Return the target that the environment names, None where it names no type.

    Raises ConfigError for a variable that names no key, and for a secret file that cannot be read.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX)
    }
    if "type" not in given:
        return None
    for key in given.keys() - {*_KEYS, *_FILES}:
        near = get_close_matches(key, _KEYS, n=1, cutoff=0.4)
        raise ConfigError(
            "unknown variable of the warehouse connection",
            value=f"{PREFIX}{key.upper()}",
            limit=", ".join(f"{PREFIX}{known.upper()}" for known in _KEYS),
            fix=f"did you mean {PREFIX}{near[0].upper()}?" if near else "remove it",
        )
    output: dict[str, Any] = {key: given[key] for key in given.keys() - {*_FILES, *_SECRETS}}
    for secret in _SECRETS:
        if given.keys() & {secret, f"{secret}_file"}:
            value = secret_from_environment(f"{PREFIX}{secret.upper()}")
            output[secret] = value.get_secret_value()
    return output
