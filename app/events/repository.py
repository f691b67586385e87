"""Every SQL statement that touches the log of events and its readers' cursors."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Connection
from app.events.schemas import DomainEvent

COLUMNS = "id, position, aggregate, aggregate_id, kind, actor, data, occurred_at"


async def add(
    conn: Connection,
    event_id: UUID | None,
    aggregate: str,
    aggregate_id: UUID,
    kind: str,
    actor: str,
    data: dict[str, Any],
) -> UUID:
    added: UUID = await conn.fetchval(
        """
        INSERT INTO domain_events (id, aggregate, aggregate_id, kind, actor, data)
        VALUES (coalesce($1, uuidv7()), $2, $3, $4, $5, $6)
        RETURNING id
        """,
        event_id,
        aggregate,
        aggregate_id,
        kind,
        actor,
        data,
    )
    return added


async def place(conn: Connection, limit: int) -> int:
    """Give committed events their positions, in the order they were written; how many got one.

    Of one aggregate the later change waited for the earlier one's lock, hence has the higher `seq` and is
    not visible before it. Whoever else places waits for the row of `event_log`.
    """
    if not await conn.fetchval("SELECT EXISTS (SELECT FROM domain_events WHERE position IS NULL)"):
        return 0
    last = await conn.fetchval("SELECT last_position FROM event_log FOR UPDATE")
    placed: int = await conn.fetchval(
        """
        WITH unplaced AS MATERIALIZED (
            SELECT occurred_at, id, $1 + row_number() OVER (ORDER BY seq) AS position
              FROM (SELECT occurred_at, id, seq FROM domain_events
                     WHERE position IS NULL ORDER BY seq LIMIT $2) AS oldest
        ), placed AS (
            UPDATE domain_events SET position = unplaced.position FROM unplaced
             WHERE domain_events.occurred_at = unplaced.occurred_at AND domain_events.id = unplaced.id
            RETURNING 1
        )
        SELECT count(*) FROM placed
        """,
        last,
        limit,
    )
    await conn.execute("UPDATE event_log SET last_position = last_position + $1", placed)
    return placed


async def after(conn: Connection, position: int, limit: int) -> list[DomainEvent]:
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM domain_events WHERE position > $1 ORDER BY position LIMIT $2",  # noqa: S608
        position,
        limit,
    )
    return [DomainEvent(**row) for row in rows]


async def some(conn: Connection, times: Sequence[datetime], ids: Sequence[UUID]) -> list[DomainEvent]:
    """Those of these events that are kept and have their place; their times say which months have them."""
    rows = await conn.fetch(
        f"""
        SELECT {COLUMNS} FROM domain_events
          JOIN unnest($1::timestamptz[], $2::uuid[]) AS wanted (at, event_id)
            ON occurred_at = at AND id = event_id
         WHERE position IS NOT NULL
        """,  # noqa: S608
        list(times),
        list(ids),
    )
    return [DomainEvent(**row) for row in rows]


async def since(conn: Connection, at: datetime, event_id: UUID | None, limit: int) -> list[DomainEvent]:
    """What happened from `at` on, or later than that and the event `event_id`; by time, not by position."""
    rows = await conn.fetch(
        f"""
        SELECT {COLUMNS} FROM domain_events
         WHERE occurred_at >= $1 AND position IS NOT NULL
           AND ($2::uuid IS NULL OR (occurred_at, id) > ($1, $2))
         ORDER BY occurred_at, id LIMIT $3
        """,  # noqa: S608
        at,
        event_id,
        limit,
    )
    return [DomainEvent(**row) for row in rows]


async def last_position(conn: Connection) -> int:
    last: int = await conn.fetchval("SELECT last_position FROM event_log")
    return last


async def first_position(conn: Connection) -> int | None:
    """Of what is still kept; `None` while there is nothing."""
    first: int | None = await conn.fetchval(
        "SELECT position FROM domain_events WHERE position IS NOT NULL ORDER BY position LIMIT 1"
    )
    return first


async def lease(conn: Connection, consumer: str, token: UUID, lease_s: float) -> int | None:
    """Take or keep the reading for `consumer`; its position, or `None` while another process reads.

    A consumer that was never here begins with what comes from now on.
    """
    await conn.execute(
        """
        INSERT INTO event_cursors (consumer, position) SELECT $1, last_position FROM event_log
        ON CONFLICT DO NOTHING
        """,
        consumer,
    )
    position: int | None = await conn.fetchval(
        """
        UPDATE event_cursors SET lease_token = $2, lease_until = now() + make_interval(secs => $3)
         WHERE consumer = $1 AND (lease_token = $2 OR lease_until IS NULL OR lease_until < now())
        RETURNING position
        """,
        consumer,
        token,
        lease_s,
    )
    return position


async def advance(conn: Connection, consumer: str, token: UUID, position: int) -> bool:
    """`False` where the lease has gone to another process."""
    done = await conn.fetchval(
        """
        UPDATE event_cursors SET position = $3, moved_at = now()
         WHERE consumer = $1 AND lease_token = $2 RETURNING true
        """,
        consumer,
        token,
        position,
    )
    return bool(done)


async def release(conn: Connection, consumer: str, token: UUID) -> None:
    await conn.execute(
        """
        UPDATE event_cursors SET lease_token = NULL, lease_until = NULL
         WHERE consumer = $1 AND lease_token = $2
        """,
        consumer,
        token,
    )


async def keep_partitions(conn: Connection, *, ahead: int, keep: int) -> tuple[int, int]:
    """Make the months to come and drop those that are over; how many of each."""
    made = await conn.fetchval("SELECT make_month_partitions('domain_events', $1)", ahead)
    dropped = await conn.fetchval("SELECT drop_month_partitions('domain_events', $1)", keep)
    return made, dropped
