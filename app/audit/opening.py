"""Sealed values in the audit: what a column held, readable while the key of whose it is exists."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from app.audit.chain import Entry
from app.db import Connection
from app.vault.service import Vault, open_found

Place: TypeAlias = tuple[str, str]
"""`tickets.subject`, and the sealed value as PostgreSQL writes it."""

SEALED = "\\x01"
UNREADABLE = "[unreadable]"


def changes(entry: Entry) -> dict[str, tuple[JsonValue, JsonValue]]:
    """Of each column that changed, what it was and what it became."""
    return {name: (before, after) for name, (before, after) in json.loads(entry.change).items()}


def sealed(entry: Entry) -> Iterator[Place]:
    for name, pair in changes(entry).items():
        for value in pair:
            if isinstance(value, str) and value.startswith(SEALED):
                yield f"{entry.object}.{name}", value


async def texts(conn: Connection, entries: Sequence[Entry]) -> dict[Place, str]:
    """What the sealed values of these entries say; those of a person who was erased say so."""
    places = list({place for entry in entries for place in sealed(entry)})
    found = await open_found(conn, [(Vault(name), bytes.fromhex(value[2:])) for name, value in places])
    return {place: UNREADABLE if text is None else text for place, text in zip(places, found, strict=True)}


def readable(entry: Entry, opened: Mapping[Place, str]) -> dict[str, tuple[JsonValue, JsonValue]]:
    """The changes, with texts in place of sealed values; where one was not opened, that it is sealed."""

    def shown(name: str, value: JsonValue) -> JsonValue:
        if isinstance(value, str) and value.startswith(SEALED):
            return opened.get((f"{entry.object}.{name}", value), {"sealed": True})
        return value

    return {name: (shown(name, was), shown(name, now)) for name, (was, now) in changes(entry).items()}
