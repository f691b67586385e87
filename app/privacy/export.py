"""Everything about a person as a zip archive of JSON files, written while it is read.

A page of rows at a time, each in a transaction of its own: what is in memory stays small, no connection waits
for a slow reader, nothing is written to a disk. An archive that breaks off has no end, and does not open.
"""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import IO, cast
from uuid import UUID

from app import db
from app.holdings import Part, Row
from app.privacy.holders import HOLDERS
from app.state import State

FORMAT = 1
ABOUT = "export.json"


class _Drained:
    """A file that only grows; what was written to it is taken from its front."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


async def archive(state: State, person: UUID, *, internal: bool) -> AsyncIterator[bytes]:
    """The archive in pieces; without `internal`, what agents say among themselves is left out."""
    parts = [part for holder in HOLDERS for part in holder.parts if internal or not part.internal]
    file, counts = _Drained(), {}
    with zipfile.ZipFile(cast(IO[bytes], file), "w", zipfile.ZIP_DEFLATED) as zipped:
        for part in sorted(parts, key=lambda part: part.name):
            with zipped.open(f"{part.name}.json", "w", force_zip64=True) as entry:
                counts[part.name] = 0
                async for rows in _pages(state, part, person):
                    await asyncio.to_thread(_write, entry, rows, first=not counts[part.name])
                    counts[part.name] += len(rows)
                    yield file.take()
                entry.write(b"\n]\n" if counts[part.name] else b"[]\n")
        about = {"format": FORMAT, "person": str(person), "at": datetime.now(UTC).isoformat(), "rows": counts}
        zipped.writestr(ABOUT, json.dumps(about, indent=2))
    yield file.take()


async def _pages(state: State, part: Part, person: UUID) -> AsyncIterator[list[Row]]:
    after: UUID | None = None
    while True:
        async with db.transaction(state.pool) as conn:
            rows, after = await part.page(conn, person, after)
        if rows:
            yield rows
        if after is None:
            return


def _write(entry: IO[bytes], rows: list[Row], *, first: bool) -> None:
    """In a thread: compressing a page of long texts takes a tenth of a second."""
    for number, row in enumerate(rows):
        entry.write(b"[\n" if first and number == 0 else b",\n")
        entry.write(json.dumps(row, ensure_ascii=False).encode())
