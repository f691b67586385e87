"""Every SQL statement that touches `webhook_endpoints`. Times are the database's."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.webhooks.rows import Standing, StoredEndpoint


async def new_id(conn: Connection) -> UUID:
    """Ascending in time; it has to be known before what is sealed under it."""
    made: UUID = await conn.fetchval("SELECT uuidv7()")
    return made


async def lock_all(conn: Connection) -> None:
    """Who adds endpoints counts them alone."""
    await conn.execute("LOCK TABLE webhook_endpoints IN SHARE ROW EXCLUSIVE MODE")


async def count(conn: Connection) -> int:
    n: int = await conn.fetchval("SELECT count(*) FROM webhook_endpoints")
    return n


async def add(
    conn: Connection,
    endpoint_id: UUID,
    url: bytes,
    secret: bytes,
    event_types: Sequence[str],
    description: str,
    since_position: int,
) -> None:
    await conn.execute(
        """
        INSERT INTO webhook_endpoints (id, url, secret, event_types, description, since_position)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        endpoint_id,
        url,
        secret,
        list(event_types),
        description,
        since_position,
    )


async def get(conn: Connection, endpoint_id: UUID) -> StoredEndpoint | None:
    row = await conn.fetchrow("SELECT * FROM webhook_endpoints WHERE id = $1", endpoint_id)
    return StoredEndpoint(**row) if row else None


async def lock(conn: Connection, endpoint_id: UUID) -> StoredEndpoint | None:
    """Before its deliveries are changed, so that two transactions cannot wait for each other for ever.

    It orders the endpoint's own events; the fan-out goes on beside it.
    """
    row = await conn.fetchrow("SELECT * FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE", endpoint_id)
    return StoredEndpoint(**row) if row else None


async def page(conn: Connection, before: UUID | None, limit: int) -> list[StoredEndpoint]:
    """Newest first."""
    rows = await conn.fetch(
        "SELECT * FROM webhook_endpoints WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before,
        limit,
    )
    return [StoredEndpoint(**row) for row in rows]


async def listening(conn: Connection) -> list[StoredEndpoint]:
    """Those that events go to now. They cannot be deleted until this transaction ends."""
    rows = await conn.fetch("SELECT * FROM webhook_endpoints WHERE enabled ORDER BY id FOR KEY SHARE")
    return [StoredEndpoint(**row) for row in rows]


async def change(
    conn: Connection,
    endpoint_id: UUID,
    *,
    url: bytes | None,
    event_types: Sequence[str] | None,
    description: str | None,
) -> None:
    """What is `None` stays. Another URL has not failed yet."""
    await conn.execute(
        """
        UPDATE webhook_endpoints
           SET url = coalesce($2, url), event_types = coalesce($3, event_types),
               description = coalesce($4, description), updated_at = now(),
               failures = CASE WHEN $2 IS NULL THEN failures ELSE 0 END,
               failing_since = CASE WHEN $2 IS NULL THEN failing_since END,
               resting_until = CASE WHEN $2 IS NULL THEN resting_until END
         WHERE id = $1
        """,
        endpoint_id,
        url,
        list(event_types) if event_types is not None else None,
        description,
    )


async def switch(conn: Connection, endpoint_id: UUID, *, on: bool, because: str | None = None) -> None:
    await conn.execute(
        """
        UPDATE webhook_endpoints
           SET enabled = $2, off_because = $3, updated_at = now(),
               failures = CASE WHEN $2 THEN 0 ELSE failures END,
               failing_since = CASE WHEN $2 THEN NULL ELSE failing_since END,
               resting_until = NULL
         WHERE id = $1
        """,
        endpoint_id,
        on,
        because,
    )


async def rotate(conn: Connection, endpoint_id: UUID, secret: bytes, overlap_s: float) -> datetime | None:
    """Until when the secret before signs as well; `None` where it is gone at once."""
    until: datetime | None = await conn.fetchval(
        """
        UPDATE webhook_endpoints
           SET secret = $2, updated_at = now(),
               former_secret = CASE WHEN $3::float8 > 0 THEN secret END,
               former_secret_until = CASE WHEN $3 > 0 THEN now() + make_interval(secs => $3) END
         WHERE id = $1 RETURNING former_secret_until
        """,
        endpoint_id,
        secret,
        overlap_s,
    )
    return until


async def delete(conn: Connection, endpoint_id: UUID) -> None:
    await conn.execute("DELETE FROM webhook_endpoints WHERE id = $1", endpoint_id)


async def begin_turn(conn: Connection, endpoint_id: UUID, job_id: UUID, at_most_s: float) -> bool:
    """`False` where another job has its turn: one slow endpoint does not take every place in the lane."""
    begun = await conn.fetchval(
        """
        UPDATE webhook_endpoints SET turn_job = $2, turn_until = now() + make_interval(secs => $3)
         WHERE id = $1 AND (turn_until IS NULL OR turn_until < now() OR turn_job = $2)
        RETURNING true
        """,
        endpoint_id,
        job_id,
        at_most_s,
    )
    return bool(begun)


async def end_turn(conn: Connection, endpoint_id: UUID, job_id: UUID) -> None:
    """Before it is looked what is due next: who found the turn taken has left that to this one."""
    await conn.execute(
        "UPDATE webhook_endpoints SET turn_job = NULL, turn_until = NULL WHERE id = $1 AND turn_job = $2",
        endpoint_id,
        job_id,
    )


async def note_success(conn: Connection, endpoint_id: UUID) -> None:
    """Writes only where there is something to forget: most of the time there is not."""
    await conn.execute(
        """
        UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, resting_until = NULL
         WHERE id = $1 AND failures > 0
        """,
        endpoint_id,
    )


async def note_failures(
    conn: Connection, endpoint_id: UUID, failures: int, rest_s: float
) -> tuple[int, float] | None:
    """How many there were in a row by now, and for how many seconds; `None` where it is gone."""
    row = await conn.fetchrow(
        """
        UPDATE webhook_endpoints
           SET failures = failures + $2, failing_since = coalesce(failing_since, now()),
               resting_until = now() + make_interval(secs => $3)
         WHERE id = $1
        RETURNING failures, extract(epoch FROM now() - failing_since)::float8 AS for_s
        """,
        endpoint_id,
        failures,
        rest_s,
    )
    return (row["failures"], row["for_s"]) if row else None


async def forget_former_secrets(conn: Connection) -> None:
    await conn.execute(
        """
        UPDATE webhook_endpoints SET former_secret = NULL, former_secret_until = NULL
         WHERE former_secret_until < now()
        """
    )


async def counts(conn: Connection) -> tuple[int, int]:
    """Of endpoints that were switched off because they failed, and of deliveries that wait."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM webhook_endpoints WHERE off_because IS NOT NULL) AS off,
               (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS pending
        """
    )
    return (row["off"], row["pending"]) if row else (0, 0)


async def standings(conn: Connection) -> list[Standing]:
    """Of every endpoint, oldest first."""
    rows = await conn.fetch(
        """
        SELECT e.id, e.description, e.event_types, e.enabled, e.off_because, e.failing_since,
               count(*) FILTER (WHERE d.status = 'pending') AS pending,
               count(*) FILTER (WHERE d.status = 'dead') AS dead
          FROM webhook_endpoints e LEFT JOIN webhook_deliveries d ON d.endpoint_id = e.id
         GROUP BY e.id ORDER BY e.id
        """
    )
    return [Standing(**row) for row in rows]
