"""What proves that nothing leaves and that a destination keeps its word; for tests and demos.

``DestinationContract`` needs pytest and lives in ``fed_audience.testing.contract``.
"""

from fed_audience.testing.egress import Departure, EgressRecorder, KindSummary
from fed_audience.testing.inbox import Answer, Membership, WebhookInbox
from fed_audience.testing.needles import Haystack
from fed_audience.testing.receiver import Cut, Received, WebhookReceiver

__all__ = [
    "Answer",
    "Cut",
    "Departure",
    "EgressRecorder",
    "Haystack",
    "KindSummary",
    "Membership",
    "Received",
    "WebhookInbox",
    "WebhookReceiver",
]
