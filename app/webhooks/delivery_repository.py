"""Every SQL statement that touches `webhook_deliveries` and `webhook_attempts`. Times are the database's."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.events.schemas import DomainEvent
from app.webhooks.rows import StoredAttempt, StoredDelivery
from app.webhooks.schemas import DeliveryStatus

FULL = "the queue of this endpoint was full"
SWITCHED_OFF = "the endpoint was switched off"


async def add(conn: Connection, endpoint_id: UUID, events: Sequence[DomainEvent], *, max_pending: int) -> int:
    """Let these events wait, oldest first; how many do. What does not fit into the queue is dead at once.

    An event that was added before stays as it is.
    """
    waiting: int = await conn.fetchval(
        """
        WITH new AS (
            INSERT INTO webhook_deliveries (endpoint_id, event_id, event_at, event_type, status,
                                            last_error, ended_at)
            SELECT $1, e.id, e.at, e.type,
                   CASE WHEN room.fits >= e.n THEN 'pending' ELSE 'dead' END::webhook_delivery_status,
                   CASE WHEN room.fits < e.n THEN $6 END, CASE WHEN room.fits < e.n THEN now() END
              FROM unnest($2::uuid[], $3::timestamptz[], $4::text[]) WITH ORDINALITY AS e (id, at, type, n),
                   (SELECT $5 - count(*) AS fits FROM webhook_deliveries
                     WHERE endpoint_id = $1 AND status = 'pending') AS room
            ON CONFLICT DO NOTHING
            RETURNING status
        )
        SELECT count(*) FILTER (WHERE status = 'pending') FROM new
        """,
        endpoint_id,
        [event.id for event in events],
        [event.occurred_at for event in events],
        [f"{event.aggregate}.{event.kind}" for event in events],
        max_pending,
        FULL,
    )
    return waiting


async def add_one(conn: Connection, endpoint_id: UUID, event_id: UUID, event_type: str) -> None:
    """An event that this transaction publishes, for this endpoint whatever waits there."""
    await conn.execute(
        """
        INSERT INTO webhook_deliveries (endpoint_id, event_id, event_at, event_type)
        VALUES ($1, $2, now(), $3)
        """,
        endpoint_id,
        event_id,
        event_type,
    )


async def again(
    conn: Connection, endpoint_id: UUID, events: Sequence[DomainEvent], *, delivered: bool
) -> int:
    """Let these events wait anew, also those that never did; how many do. What waits already stays as it is.

    With `delivered` also those that the endpoint took.
    """
    queued: int = await conn.fetchval(
        """
        WITH queued AS (
            INSERT INTO webhook_deliveries AS d (endpoint_id, event_id, event_at, event_type)
            SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::text[])
            ON CONFLICT (endpoint_id, event_id) DO UPDATE
               SET status = 'pending', attempts = 0, due_at = now(), last_error = NULL, ended_at = NULL
             WHERE d.status = 'dead' OR (d.status = 'delivered' AND $5)
            RETURNING 1
        )
        SELECT count(*) FROM queued
        """,
        endpoint_id,
        [event.id for event in events],
        [event.occurred_at for event in events],
        [f"{event.aggregate}.{event.kind}" for event in events],
        delivered,
    )
    return queued


async def again_at_once(conn: Connection, endpoint_id: UUID, event_id: UUID) -> StoredDelivery | None:
    """From the beginning of the schedule, whatever became of it; `None` where there is none."""
    row = await conn.fetchrow(
        """
        UPDATE webhook_deliveries
           SET status = 'pending', attempts = 0, due_at = now(), last_error = NULL, ended_at = NULL
         WHERE endpoint_id = $1 AND event_id = $2 RETURNING *
        """,
        endpoint_id,
        event_id,
    )
    return StoredDelivery(**row) if row else None


async def take(conn: Connection, endpoint_id: UUID, limit: int, claim_s: float) -> list[StoredDelivery]:
    """Claim up to `limit` that are due, oldest first: nobody else takes them for `claim_s`.

    None where the endpoint is off or rests.
    """
    rows = await conn.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT event_id FROM webhook_deliveries
             WHERE endpoint_id = $1 AND status = 'pending' AND due_at <= now()
               AND EXISTS (SELECT FROM webhook_endpoints
                            WHERE id = $1 AND enabled AND coalesce(resting_until <= now(), true))
             ORDER BY due_at, event_at LIMIT $2
               FOR UPDATE SKIP LOCKED
        )
        UPDATE webhook_deliveries d SET due_at = now() + make_interval(secs => $3)
          FROM due WHERE d.endpoint_id = $1 AND d.event_id = due.event_id
        RETURNING d.*
        """,
        endpoint_id,
        limit,
        claim_s,
    )
    return [StoredDelivery(**row) for row in rows]


async def add_attempt(
    conn: Connection,
    delivery: StoredDelivery,
    at: datetime,
    seconds: float,
    status_code: int | None,
    error: str | None,
    response: bytes,
) -> None:
    """Nothing where the endpoint was deleted meanwhile."""
    await conn.execute(
        """
        INSERT INTO webhook_attempts (endpoint_id, event_id, at, duration_ms, status_code, error, response)
        SELECT endpoint_id, event_id, $3, $4, $5, $6, $7 FROM webhook_deliveries
         WHERE endpoint_id = $1 AND event_id = $2
        ON CONFLICT DO NOTHING
        """,
        delivery.endpoint_id,
        delivery.event_id,
        at,
        round(seconds * 1000),
        status_code,
        error,
        response,
    )


async def end(
    conn: Connection, delivery: StoredDelivery, status: DeliveryStatus, error: str | None = None
) -> None:
    await conn.execute(
        """
        UPDATE webhook_deliveries
           SET status = $3::webhook_delivery_status, ended_at = now(), last_error = $4,
               attempts = attempts + 1
         WHERE endpoint_id = $1 AND event_id = $2 AND status = 'pending'
        """,
        delivery.endpoint_id,
        delivery.event_id,
        status,
        error,
    )


async def retry(conn: Connection, delivery: StoredDelivery, error: str, delay_s: float) -> None:
    await conn.execute(
        """
        UPDATE webhook_deliveries
           SET attempts = attempts + 1, last_error = $3, due_at = now() + make_interval(secs => $4)
         WHERE endpoint_id = $1 AND event_id = $2 AND status = 'pending'
        """,
        delivery.endpoint_id,
        delivery.event_id,
        error,
        delay_s,
    )


async def bury_all(conn: Connection, endpoint_id: UUID) -> None:
    """What waits for an endpoint that was switched off."""
    await conn.execute(
        """
        UPDATE webhook_deliveries SET status = 'dead', ended_at = now(), last_error = $2
         WHERE endpoint_id = $1 AND status = 'pending'
        """,
        endpoint_id,
        SWITCHED_OFF,
    )


async def next_due(conn: Connection, endpoint_id: UUID) -> datetime | None:
    due: datetime | None = await conn.fetchval(
        """
        SELECT due_at FROM webhook_deliveries
         WHERE endpoint_id = $1 AND status = 'pending' ORDER BY due_at LIMIT 1
        """,
        endpoint_id,
    )
    return due


async def pending(conn: Connection, endpoint_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many wait at each; who has none is left out."""
    rows = await conn.fetch(
        """
        SELECT endpoint_id, count(*) AS n FROM webhook_deliveries
         WHERE endpoint_id = ANY($1) AND status = 'pending' GROUP BY endpoint_id
        """,
        list(endpoint_ids),
    )
    return {row["endpoint_id"]: row["n"] for row in rows}


async def get(conn: Connection, endpoint_id: UUID, event_id: UUID) -> StoredDelivery | None:
    row = await conn.fetchrow(
        "SELECT * FROM webhook_deliveries WHERE endpoint_id = $1 AND event_id = $2", endpoint_id, event_id
    )
    return StoredDelivery(**row) if row else None


async def page(
    conn: Connection, endpoint_id: UUID, status: DeliveryStatus | None, before: UUID | None, limit: int
) -> list[StoredDelivery]:
    """Newest events first; after the delivery of the event `before`."""
    rows = await conn.fetch(
        """
        SELECT * FROM webhook_deliveries
         WHERE endpoint_id = $1 AND ($2::text IS NULL OR status::text = $2)
           AND ($3::uuid IS NULL
                OR (event_at, event_id) < (SELECT event_at, event_id FROM webhook_deliveries
                                            WHERE endpoint_id = $1 AND event_id = $3))
         ORDER BY event_at DESC, event_id DESC LIMIT $4
        """,
        endpoint_id,
        status,
        before,
        limit,
    )
    return [StoredDelivery(**row) for row in rows]


async def attempts(conn: Connection, endpoint_id: UUID, event_id: UUID, limit: int) -> list[StoredAttempt]:
    """Newest first."""
    rows = await conn.fetch(
        """
        SELECT at, duration_ms, status_code, error, response FROM webhook_attempts
         WHERE endpoint_id = $1 AND event_id = $2 ORDER BY at DESC LIMIT $3
        """,
        endpoint_id,
        event_id,
        limit,
    )
    return [StoredAttempt(**row) for row in rows]


async def with_due(conn: Connection) -> list[UUID]:
    """Endpoints that something is due for."""
    rows = await conn.fetch(
        """
        SELECT id FROM webhook_endpoints e
         WHERE enabled AND coalesce(resting_until <= now(), true)
           AND EXISTS (SELECT FROM webhook_deliveries
                        WHERE endpoint_id = e.id AND status = 'pending' AND due_at <= now())
        """
    )
    return [row["id"] for row in rows]


async def prune(conn: Connection, keep_s: float, limit: int) -> int:
    """Delete what ended longer ago than that, at most `limit` at a time."""
    gone: int = await conn.fetchval(
        """
        WITH old AS MATERIALIZED (
            SELECT endpoint_id, event_id FROM webhook_deliveries
             WHERE status <> 'pending' AND ended_at < now() - make_interval(secs => $1) LIMIT $2
        ), gone AS (
            DELETE FROM webhook_deliveries d USING old
             WHERE d.endpoint_id = old.endpoint_id AND d.event_id = old.event_id RETURNING 1
        )
        SELECT count(*) FROM gone
        """,
        keep_s,
        limit,
    )
    return gone
