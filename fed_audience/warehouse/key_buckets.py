"""Rows dealt by their key, in SQL that reads alike on the engines: a bucket is two hex digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

BUCKETS: Final = 256
"""Values of the first byte of an MD5 (RFC 1321): a fair deal, and no secret."""


def buckets_of(share: int, count: int) -> range:
    """Return the buckets of share ``share``, from 0, of ``count``: each is in one share."""
    return range(share, BUCKETS, count)


def in_buckets(column: str, buckets: Iterable[int]) -> str:
    """Return the condition that a row's key is in ``buckets``; ``column`` as it stands in SQL.

    Keys that are equal as text are in one bucket, whatever table they stand in; a null is in that
    of the empty text.
    """
    digits = ", ".join(f"'{bucket:02x}'" for bucket in buckets)
    return f"substr(md5(coalesce(cast({column} as varchar), '')), 1, 2) in ({digits})"
