"""Saying what happened, in the transaction of the change, and reading what was said.

The log is a table, so that what was committed is said and what was rolled back is not. Whoever reads it
(`relay`, `feed`) remembers a position.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from pydantic import JsonValue

from app.db import Connection
from app.events import repository
from app.events.schemas import DomainEvent

PLACED_AT_ONCE = 1000


class Said(NamedTuple):
    """An event's id, what it happened to, and what."""

    event_id: UUID
    aggregate: str
    aggregate_id: UUID
    kind: str


Touched: TypeAlias = set[Said]


_touched: ContextVar[Touched | None] = ContextVar("touched", default=None)


async def publish(
    conn: Connection,
    aggregate: str,
    aggregate_id: UUID,
    kind: str,
    actor: str,
    data: Mapping[str, JsonValue],
    *,
    event_id: UUID | None = None,
) -> UUID:
    """Say that `kind` happened; the event's id.

    The caller holds the aggregate locked: that is what orders its events.

    `data` says which fields changed, and to what where that is nobody's words.
    """
    said_id = await repository.add(conn, event_id, aggregate, aggregate_id, kind, actor, dict(data))
    if (touched := _touched.get()) is not None:
        touched.add(Said(said_id, aggregate, aggregate_id, kind))
    return said_id


@contextmanager
def touching() -> Iterator[Touched]:
    """What this task publishes inside: for who has to act on it as soon as it is committed."""
    found: Touched = set()
    token = _touched.set(found)
    try:
        yield found
    finally:
        _touched.reset(token)


async def place(conn: Connection) -> bool:
    """Let committed events take their places in the log; whether all of them have one."""
    return await repository.place(conn, PLACED_AT_ONCE) < PLACED_AT_ONCE


async def after(conn: Connection, position: int, limit: int) -> list[DomainEvent]:
    return await repository.after(conn, position, limit)


async def some(conn: Connection, wanted: Sequence[tuple[datetime, UUID]]) -> list[DomainEvent]:
    """Those of these events, by time and id, that are still kept; in no order."""
    return await repository.some(conn, [at for at, _ in wanted], [event_id for _, event_id in wanted])


async def since(conn: Connection, at: datetime, event_id: UUID | None, limit: int) -> list[DomainEvent]:
    """What happened from `at` on, oldest first; go on with the last one's time and id."""
    return await repository.since(conn, at, event_id, limit)


async def end(conn: Connection) -> int:
    """The last position taken."""
    return await repository.last_position(conn)


async def is_kept(conn: Connection, position: int) -> bool:
    """Whether whoever read up to `position` can go on without having missed anything."""
    if position > await repository.last_position(conn):
        return False
    first = await repository.first_position(conn)
    return first is None or position >= first - 1


async def keep_months(conn: Connection, *, ahead: int, keep: int) -> None:
    """Make the log's partitions of the months to come, and drop those that ended `keep` months ago."""
    await repository.keep_partitions(conn, ahead=ahead, keep=keep)
