"""What a slice has about one person: for the export of everything, and for erasure (`app.privacy`).

Each slice says it in its module `people`; a test holds the tables that name a person against what they say.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from app.db import Connection
from app.vault import service as vault
from app.vault.service import Vault

Row: TypeAlias = dict[str, JsonValue]
Counts: TypeAlias = Mapping[str, int]
EXPIRED = "'\\x00'::bytea || convert_to('[expired]', 'UTF8')"
"""In SQL: what stands in a sealed column in place of a text that was kept for long enough."""

PAGE = 200
"""Rows read and compressed at a time: 4 MB where all of them are as long as they may be."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of data, a file of the export.

    `select` takes the person, the id to go on after (null at first) and how many rows; each has an `id`.
    Columns in `sealed` are opened with the person's key, or with that of a column `sealed_for`, which is left
    out; those in `as_json` are JSON then.
    """

    name: str
    select: str
    sealed: Mapping[str, Vault] = field(default_factory=dict)
    as_json: tuple[str, ...] = ()
    internal: bool = False
    """Said among agents: for an administrator's export only."""

    async def page(self, conn: Connection, person: UUID, after: UUID | None) -> tuple[list[Row], UUID | None]:
        """Rows as JSON, oldest first, and where to go on if there may be more."""
        found = await conn.fetch(self.select, person, after, PAGE, timeout=30)
        owned = [{"sealed_for": person, **row} for row in found]
        sealed = {column: (place, "sealed_for") for column, place in self.sealed.items()}
        rows = await vault.open_rows(conn, owned, sealed)
        for row in rows:
            del row["sealed_for"]
            for column in self.as_json:
                row[column] = None if row[column] == vault.ERASED else json.loads(row[column])
        following = rows[-1]["id"] if len(rows) == PAGE else None
        return [to_jsonable_python(row) for row in rows], following


Empty: TypeAlias = Callable[[Connection, int, int], Awaitable[int]]
"""Given days and a number of rows: how many that are older were emptied, at most that many."""


def by(statement: str) -> Empty:
    """Of a statement that takes days and a number of rows, and returns a row for each that it emptied."""

    async def empty(conn: Connection, days: int, limit: int) -> int:
        return len(await conn.fetch(statement, days, limit, timeout=60))

    return empty


@dataclass(frozen=True, slots=True)
class Holdings:
    """`forget` removes what the person's key does not seal, and counts what is gone or unreadable by kind.

    `retained` empties what has been kept for long enough, by the name its rule has in the profile.
    """

    parts: tuple[Part, ...]
    forget: Callable[[Connection, UUID], Awaitable[Counts]]
    retained: Mapping[str, Empty] = field(default_factory=dict)
