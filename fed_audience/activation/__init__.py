"""Brings an audience to a destination, and takes out whoever left it or withdrew consent.

audience -> consent -> difference -> plan -> identifiers -> batches -> one outcome per record
-> state. Connectors build on what this package exports and on nothing else of the project.
"""

from fed_audience.activation.definition import Sync
from fed_audience.activation.delivery import RetryPolicy
from fed_audience.activation.destination import (
    INTERFACE_VERSION,
    Batch,
    BatchResult,
    Change,
    ChecksConnection,
    CompletesRun,
    Destination,
    DestinationSpec,
    MeasuresRecords,
    Operation,
    Outcome,
    Reason,
    Record,
    RemovesMembers,
    Status,
)
from fed_audience.activation.gate import Gate, Verdict
from fed_audience.activation.identifiers import Hashing, IdentifierRule, usable_identifier
from fed_audience.activation.limits import Limits, Pace
from fed_audience.activation.members import Contact, Member, read_contacts
from fed_audience.activation.plan import Plan
from fed_audience.activation.registry import available, load, open_destination
from fed_audience.activation.report import BatchSettled, SyncEvent, SyncReport, Waiting
from fed_audience.activation.state import SyncState

__all__ = [
    "INTERFACE_VERSION",
    "Batch",
    "BatchResult",
    "BatchSettled",
    "Change",
    "ChecksConnection",
    "CompletesRun",
    "Contact",
    "Destination",
    "DestinationSpec",
    "Gate",
    "Hashing",
    "IdentifierRule",
    "Limits",
    "MeasuresRecords",
    "Member",
    "Operation",
    "Outcome",
    "Pace",
    "Plan",
    "Reason",
    "Record",
    "RemovesMembers",
    "RetryPolicy",
    "Status",
    "Sync",
    "SyncEvent",
    "SyncReport",
    "SyncState",
    "Verdict",
    "Waiting",
    "available",
    "load",
    "open_destination",
    "read_contacts",
    "usable_identifier",
]
