"""Every error that a user can meet, and the exit code each one ends with.

FedAudienceError                1
├── UsageError                  2   a flag or an argument makes no sense
├── ConfigError                 3   a configuration file or environment variable
├── DataError                   4   a table, file, column or value
├── ConsentError                5   consent missing, stale or contradictory
├── WarehouseError              6   connection, relation, query
├── DbtError                    7   a dbt command failed
├── FederationError             8   a message, a round, a site
├── ModelFormatError            9   a model text that is not to be trusted
├── DestinationError           10   an activation tool refused or could not be reached
├── ResourceError              11   port, disk, memory, system library
├── ModelsDiffer               12   `model diff` found a difference
├── AuditError                 13   an audit log that is not to be believed
├── EgressError                14   something left a site that is not in the catalogue
├── BudgetError                15   privacy that the owner of a data set has not granted
├── ContractError              16   a run or a site that is not what was signed
├── StillWaiting               17   a brand had not done its part in the time that was given
└── RunInterrupted            130   the user pressed Ctrl-C; what was finished is kept
"""

from __future__ import annotations

from typing import ClassVar


class FedAudienceError(Exception):
    """Base of all errors raised on purpose.

    ``what`` went wrong is required. ``value`` is the offending value (never a row, an
    identifier or a secret), ``limit`` what was allowed, ``looked`` where we looked and
    ``fix`` the next thing to do. ``str(error)`` joins them into one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        value: object = None,
        limit: object = None,
        looked: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        self.value = value
        self.limit = limit
        self.looked = looked
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        """One line: what, value, limit, where, what to do."""
        parts = [self.what]
        if self.value is not None:
            parts.append(f"value: {self.value}")
        if self.limit is not None:
            parts.append(f"allowed: {self.limit}")
        if self.looked is not None:
            parts.append(f"looked in: {self.looked}")
        line = "; ".join(parts)
        return f"{line}. To mend it: {self.fix}" if self.fix else line


class UsageError(FedAudienceError):
    """A flag or an argument makes no sense."""

    exit_code = 2


class ConfigError(FedAudienceError):
    """A configuration file or an environment variable is missing or wrong."""

    exit_code = 3


class DataError(FedAudienceError):
    """A table, file, column or value cannot be used."""

    exit_code = 4


class ConsentError(FedAudienceError):
    """Consent is missing, stale or contradictory, so nothing may be used or sent."""

    exit_code = 5


class WarehouseError(FedAudienceError):
    """The warehouse cannot be reached, or lacks what was asked of it."""

    exit_code = 6


class DbtError(FedAudienceError):
    """A dbt command failed."""

    exit_code = 7


class FederationError(FedAudienceError):
    """A message, a round or a site of the federation broke the protocol."""

    exit_code = 8


class ModelFormatError(FedAudienceError):
    """A model text is malformed and is not handed to LightGBM."""

    exit_code = 9


class DestinationError(FedAudienceError):
    """An activation tool refused, or could not be reached."""

    exit_code = 10


class ResourceError(FedAudienceError):
    """The machine lacks something: a port, disk space, memory, a system library."""

    exit_code = 11


class ModelsDiffer(FedAudienceError):  # noqa: N818 - reads as a finding, not as a fault
    """Two models were compared and are not the same."""

    exit_code = 12


class AuditError(FedAudienceError):
    """An audit log was changed, cut short or signed by somebody else."""

    exit_code = 13


class EgressError(FedAudienceError):
    """What left a site is outside the catalogue, or holds what must never leave."""

    exit_code = 14


class BudgetError(FedAudienceError):
    """A release would spend more privacy than is left, or the book of what was spent is damaged."""

    exit_code = 15


class ContractError(FedAudienceError):
    """A run, a site or a table differs from what the sites signed, or was not signed."""

    exit_code = 16


class StillWaiting(FedAudienceError):  # noqa: N818 - reads as a state, not as a fault
    """A brand had not done its part in the time that was given; nothing was lost."""

    exit_code = 17


class RunInterrupted(FedAudienceError):  # noqa: N818 - reads as an event, not as a fault
    """The user stopped the run; what was finished is kept."""

    exit_code = 130
