"""One POST, and what became of it: a reply, or a failure that says whether it may have arrived."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ContentDecodingError,
    SSLError,
)
from urllib3.exceptions import NameResolutionError, NewConnectionError

from fed_audience.activation import Status
from fed_audience.errors import DestinationError
from fed_audience_connectors.address_guard import AddressGuard, GuardedAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_REPLY = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status code, headers (any case), at most 8 MiB of body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def retry_after(self, now: float) -> float | None:
        """Return the seconds to wait that ``Retry-After`` asks for (RFC 9110, 10.2.3)."""
        text = self.headers.get("Retry-After", "").strip()
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                moment = parsedate_to_datetime(text)
            except ValueError:
                return None
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            seconds = moment.timestamp() - now
        return max(0.0, seconds) if math.isfinite(seconds) else None


@dataclass(frozen=True, slots=True)
class Failure:
    """No reply: ``retry`` when nothing was sent, ``unknown`` when it may have arrived."""

    status: Status
    code: str


class HttpClient:
    """Posts over kept-alive connections; no redirect, no proxy or password from the environment."""

    def __init__(
        self, guard: AddressGuard, *, connect_timeout_s: float, read_timeout_s: float
    ) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", GuardedAdapter(guard))
        self._session.mount("https://", GuardedAdapter(guard))
        self._timeout = (connect_timeout_s, read_timeout_s)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply | Failure:
        """Send ``body``; raises DestinationError for an untrusted certificate or address."""
        try:
            with self._session.post(
                url,
                data=body,
                headers=dict(headers),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                return Reply(response.status_code, response.headers, _bounded(response))
        except SSLError as error:
            raise DestinationError(
                "the destination's certificate is not trusted",
                looked=_host(url),
                fix="correct its url or its certificate; nothing was sent",
            ) from error
        except ConnectTimeout:
            return Failure(Status.RETRY, "connect_timeout")
        except requests.Timeout:
            return Failure(Status.UNKNOWN, "read_timeout")
        except (ChunkedEncodingError, ContentDecodingError):
            return Failure(Status.UNKNOWN, "reply_cut")
        except requests.ConnectionError as error:
            if _never_connected(error):
                return Failure(Status.RETRY, "unreachable")
            return Failure(Status.UNKNOWN, "connection_cut")


def _bounded(response: requests.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_content(65_536):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_REPLY:
            raise DestinationError(
                "the destination's reply is too large",
                limit=f"{_LARGEST_REPLY:,} bytes",
                looked=_host(response.url or ""),
                fix="check its url; the reply is not what a destination sends",
            )
    return b"".join(parts)


def _never_connected(error: BaseException | None) -> bool:
    """Look for the reason that means no request was written."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, NewConnectionError | NameResolutionError):
            return True
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return False


def _host(url: str) -> str:
    # A path or query may hold a token.
    return urlsplit(url).hostname or "its url"
