"""Who may open a stream: versions that fit, a site of the roster, its certificate and its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.federation.certificates import check_endorsement
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.protocol import (
    ENVELOPE,
    MESSAGES,
    EnvelopeError,
    RefusalReason,
    Versions,
)
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.federation.certificates import CertificateFacts

PeerRole = Literal["agent", "visitor", "guest"]
ROLES: Final[dict[PeerRole, pb.Role]] = {
    "agent": pb.ROLE_AGENT,
    "visitor": pb.ROLE_VISITOR,
    "guest": pb.ROLE_GUEST,
}
_ROLES: Final[dict[int, PeerRole]] = {int(number): role for role, number in ROLES.items()}
_LONGEST_NAME: Final = 200
_LONGEST_PROGRAM: Final = 100
_PROCESS_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Member:
    """A site of the roster: its Ed25519 key (32 bytes), and the subject of its certificate.

    ``subject``: common name or whole subject (RFC 4514); empty: the common name is the site's name.
    """

    key: bytes
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a control message. A guest's ``site`` is what it says of itself, unproven."""

    site: str
    role: PeerRole
    address: str
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True)
class Admitted:
    """A peer that has been let in, and the versions both speak."""

    caller: Caller
    process: bytes
    program: str
    envelope: int
    messages: int


def admit(
    first: pb.FromSite, address: str, certificate: CertificateFacts, members: Mapping[str, Member]
) -> Admitted:
    """Let in whose first message this is. Raises EnvelopeError with the reason why not."""
    if first.WhichOneof("content") != "hello":
        raise EnvelopeError("bad_envelope", "its first message is no hello")
    hello = first.hello
    role = _ROLES.get(hello.role)
    named = 0 < len(hello.site) <= _LONGEST_NAME and hello.site.isprintable()
    if role is None or not named or len(hello.process) != _PROCESS_BYTES:
        raise EnvelopeError("bad_envelope", "its hello lacks a site, a role or a process")
    envelope = _agreed("envelope_version", "the envelope", hello.envelope, ENVELOPE)
    messages = _agreed("message_version", "messages", hello.messages, MESSAGES)
    if role != "guest":
        _check_member(hello, certificate, members)
    return Admitted(
        caller=Caller(hello.site, role, address, certificate),
        process=hello.process,
        program="".join(filter(str.isprintable, hello.program[:_LONGEST_PROGRAM])),
        envelope=envelope,
        messages=messages,
    )


def _agreed(reason: RefusalReason, what: str, theirs: pb.Versions, ours: Versions) -> int:
    offered = Versions(theirs.oldest, theirs.newest)
    found = ours.common(offered)
    if found is None:
        raise EnvelopeError(
            reason,
            f"it speaks versions {offered} of {what}, this coordinator {ours}; "
            "run versions of fed-audience that overlap",
        )
    return found


def _check_member(
    hello: pb.Hello, certificate: CertificateFacts, members: Mapping[str, Member]
) -> None:
    member = members.get(hello.site)
    if member is None:
        raise EnvelopeError(
            "unknown_site", f"site {hello.site} is not in the roster of this federation"
        )
    subject = member.subject or hello.site
    if not certificate.speaks_for(subject):
        raise EnvelopeError(
            "wrong_subject",
            f"site {hello.site} came with the certificate of {certificate.subject or 'nobody'}, "
            f"its own is {subject}",
        )
    try:
        check_endorsement(hello.site, member.key, certificate.sha256, hello.endorsement)
    except SecureSumError:
        raise EnvelopeError(
            "wrong_key",
            f"the certificate of site {hello.site} is not endorsed by its key in the roster",
        ) from None
