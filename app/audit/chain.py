"""The chain: how an entry's hash comes of the entry and the hash before it.

    hash = SHA-256(DOMAIN, the hash before, each field)
    field = 0 where it is null, else 1, the length of its UTF-8 in four bytes, its UTF-8

Times count as microseconds since 1970 (UTC) in decimal digits. `change` is hashed as the text that is stored,
so that no version's way of writing JSON matters. With their lengths no text can pass for two fields.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

DOMAIN = b"eservice-audit-1"
GENESIS = bytes(32)
"""Stands before the first entry."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HEAD = re.compile(r"\baudit-(\d{1,18})-([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one row, as its transaction wrote it down."""

    id: int
    """In the order of writing; what was rolled back leaves gaps."""
    occurred_at: datetime
    actor: str
    api_key: str | None
    address: str | None
    cause: str | None
    action: str
    object: str
    """The table."""
    object_id: str
    """The row's key; of several columns, parted by `/`."""
    change: str
    """JSON: of each column that changed, what it was and what it became."""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place; positions have no gaps."""

    position: int
    sealed_at: datetime
    hash: bytes
    entry: Entry


class Head(NamedTuple):
    """The end of the chain at some moment. Kept elsewhere, it is an anchor: what changes before it shows."""

    position: int
    hash: bytes
    sealed_at: datetime

    def __str__(self) -> str:
        """One word for logs, manifests and mails; `anchors` finds it again."""
        return f"audit-{self.position}-{self.hash.hex()}"


def seal(previous: bytes, position: int, sealed_at: datetime, entry: Entry) -> bytes:
    """The hash of `entry` at `position`, behind an entry whose hash is `previous`."""
    fields = (
        str(position),
        _microseconds(sealed_at),
        str(entry.id),
        _microseconds(entry.occurred_at),
        entry.actor,
        entry.api_key,
        entry.address,
        entry.cause,
        entry.action,
        entry.object,
        entry.object_id,
        entry.change,
    )
    return hashlib.sha256(DOMAIN + previous + b"".join(map(_framed, fields))).digest()


def anchors(text: str) -> dict[int, bytes]:
    """Every head that a text names, by position: a log, a manifest, a mail."""
    return {int(position): bytes.fromhex(digest) for position, digest in HEAD.findall(text)}


def _framed(field: str | None) -> bytes:
    if field is None:
        return b"\x00"
    encoded = field.encode()
    return b"\x01" + len(encoded).to_bytes(4) + encoded


def _microseconds(moment: datetime) -> str:
    return str((moment - EPOCH) // MICROSECOND)
