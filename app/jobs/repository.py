"""Every SQL statement that touches `jobs`. Times are the database's: runners' clocks do not matter."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.jobs.schemas import EVERYTHING, Job, JobStatus, Lane, Payload


async def add(
    conn: Connection,
    kind: str,
    payload: Payload,
    *,
    dedupe_key: str | None,
    run_at: datetime | None,
    origin: Mapping[str, str],
) -> UUID | None:
    """A new job; `None` where one with this key waits already, which then runs at the earlier time."""
    added: UUID | None = await conn.fetchval(
        """
        INSERT INTO jobs (kind, payload, dedupe_key, run_at, origin)
        VALUES ($1, $2, $3, coalesce($4, now()), $5)
        ON CONFLICT (kind, dedupe_key) WHERE status = 'queued'
           DO UPDATE SET run_at = excluded.run_at WHERE jobs.run_at > excluded.run_at
        RETURNING CASE WHEN xmax = 0 THEN id END
        """,
        kind,
        dict(payload),
        dedupe_key,
        run_at,
        dict(origin) or None,
    )
    return added


async def add_scheduled(conn: Connection, kinds: list[str]) -> None:
    """Queue what comes round by now; what still waits from last time is not queued twice."""
    await conn.execute(
        """
        WITH due AS (
            UPDATE schedules SET next_run_at = now() + every
             WHERE next_run_at <= now() AND kind = ANY($1)
            RETURNING kind
        )
        INSERT INTO jobs (kind, dedupe_key) SELECT kind, 'scheduled' FROM due
        ON CONFLICT (kind, dedupe_key) WHERE status = 'queued' DO NOTHING
        """,
        kinds,
    )


async def take(conn: Connection, *, limit: int, lease_s: float, lane: Lane = EVERYTHING) -> list[Job]:
    """Lease up to `limit` due jobs, oldest first. A job that runs gives up its deduplication key."""
    rows = await conn.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM jobs
             WHERE status = 'queued' AND run_at <= now() AND (kind = ANY($3)) = $4
             ORDER BY run_at, id
             LIMIT $1
               FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs
           SET status = 'running', attempts = attempts + 1, dedupe_key = NULL,
               lease_token = gen_random_uuid(), lease_until = now() + make_interval(secs => $2)
          FROM due
         WHERE jobs.id = due.id
        RETURNING jobs.*
        """,
        limit,
        lease_s,
        list(lane.kinds),
        lane.only,
    )
    return [Job(**row) for row in rows]


async def reclaim(conn: Connection, *, max_attempts: int) -> int:
    """Put back jobs whose lease ran out, as after `kill -9` of their runner; bury those that keep doing it.

    A job whose effect is being committed right now is locked, and skipped.
    """
    rows = await conn.fetch(
        """
        WITH expired AS MATERIALIZED (
            SELECT id FROM jobs WHERE status = 'running' AND lease_until < now() FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs
           SET status = CASE WHEN attempts >= $1 THEN 'dead' ELSE 'queued' END::job_status,
               finished_at = CASE WHEN attempts >= $1 THEN now() END,
               last_error = 'the lease ran out: its runner died, hung or lost the database',
               lease_token = NULL, lease_until = NULL
          FROM expired
         WHERE jobs.id = expired.id
        RETURNING jobs.id
        """,
        max_attempts,
    )
    return len(rows)


async def renew(conn: Connection, tokens: list[UUID], *, lease_s: float) -> int:
    """Extend these leases; rows locked by their own effect's transaction need no longer lease."""
    rows = await conn.fetch(
        """
        WITH held AS MATERIALIZED (
            SELECT id FROM jobs
             WHERE status = 'running' AND lease_token = ANY($1) FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs SET lease_until = now() + make_interval(secs => $2)
          FROM held
         WHERE jobs.id = held.id
        RETURNING jobs.id
        """,
        tokens,
        lease_s,
    )
    return len(rows)


async def finish(conn: Connection, job: Job) -> bool:
    """Complete a job; `False` where its lease has gone to another runner."""
    done = await conn.fetchval(
        """
        UPDATE jobs
           SET status = 'done', finished_at = now(), last_error = NULL, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND status = 'running' AND lease_token = $2
        RETURNING true
        """,
        job.id,
        job.lease_token,
    )
    return bool(done)


async def retry(conn: Connection, job: Job, error: str, *, delay_s: float) -> bool:
    """Queue a failed job again, `delay_s` from now."""
    row = await conn.fetchval(
        """
        UPDATE jobs
           SET status = 'queued', run_at = now() + make_interval(secs => $4), last_error = $3,
               lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND status = 'running' AND lease_token = $2
        RETURNING true
        """,
        job.id,
        job.lease_token,
        error,
        delay_s,
    )
    return bool(row)


async def bury(conn: Connection, job: Job, error: str) -> bool:
    """Set a job aside as dead, to be looked at and replayed."""
    row = await conn.fetchval(
        """
        UPDATE jobs
           SET status = 'dead', finished_at = now(), last_error = $3, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND status = 'running' AND lease_token = $2
        RETURNING true
        """,
        job.id,
        job.lease_token,
        error,
    )
    return bool(row)


async def release(conn: Connection, tokens: list[UUID]) -> int:
    """Give back jobs that a stopping runner did not end; the attempt does not count."""
    rows = await conn.fetch(
        """
        UPDATE jobs
           SET status = 'queued', attempts = attempts - 1, lease_token = NULL, lease_until = NULL
         WHERE status = 'running' AND lease_token = ANY($1)
        RETURNING id
        """,
        tokens,
    )
    return len(rows)


async def revive(conn: Connection, job_id: UUID) -> bool:
    """Queue a dead job as if it were new; `False` where it is not dead."""
    row = await conn.fetchval(
        """
        UPDATE jobs SET status = 'queued', attempts = 0, run_at = now(), finished_at = NULL
         WHERE id = $1 AND status = 'dead'
        RETURNING true
        """,
        job_id,
    )
    return bool(row)


async def prune(conn: Connection, *, keep_s: float, keep_dead_s: float | None) -> int:
    """Delete jobs that were done, or given up, longer ago than that; without a limit dead ones stay."""
    rows = await conn.fetch(
        """
        DELETE FROM jobs
         WHERE (status = 'done' AND finished_at < now() - make_interval(secs => $1))
            OR (status = 'dead' AND finished_at < now() - make_interval(secs => $2))
        RETURNING id
        """,
        keep_s,
        keep_dead_s,
    )
    return len(rows)


async def get(conn: Connection, job_id: UUID) -> Job | None:
    row = await conn.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id)
    return Job(**row) if row else None


async def dead(conn: Connection, *, before: UUID | None, limit: int) -> list[Job]:
    """Newest first; after the job `before`, which may have been replayed meanwhile."""
    rows = await conn.fetch(
        """
        SELECT * FROM jobs
         WHERE status = 'dead'
           AND ($1::uuid IS NULL
                OR (finished_at, id) < (SELECT coalesce(finished_at, now()), id FROM jobs WHERE id = $1))
         ORDER BY finished_at DESC, id DESC LIMIT $2
        """,
        before,
        limit,
    )
    return [Job(**row) for row in rows]


async def depths(conn: Connection) -> tuple[dict[str, dict[JobStatus, int]], float]:
    """Jobs by kind and status, and for how many seconds the one that waits longest has been due."""
    rows = await conn.fetch(
        "SELECT kind, status::text, count(*) AS n FROM jobs GROUP BY kind, status ORDER BY kind, status"
    )
    counts: dict[str, dict[JobStatus, int]] = {}
    for row in rows:
        counts.setdefault(row["kind"], {})[row["status"]] = row["n"]
    oldest_s: float = await conn.fetchval(
        """
        SELECT coalesce(extract(epoch FROM now() - min(run_at)), 0)::float8
          FROM jobs WHERE status = 'queued' AND run_at <= now()
        """
    )
    return counts, oldest_s


async def waiting(conn: Connection) -> list[tuple[str, int, float, int]]:
    """Of each kind: jobs that could run now, seconds the oldest has waited, and how many are dead."""
    rows = await conn.fetch(
        """
        SELECT kind,
               count(*) FILTER (WHERE status = 'queued') AS due,
               coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE status = 'queued')), 0)::float8
                   AS age,
               count(*) FILTER (WHERE status = 'dead') AS dead
          FROM jobs
         WHERE (status = 'queued' AND run_at <= now()) OR status = 'dead'
         GROUP BY kind
        """
    )
    return [(row["kind"], row["due"], row["age"], row["dead"]) for row in rows]


async def due(conn: Connection) -> int:
    """Over a partial index, which holds only what waits."""
    count: int = await conn.fetchval("SELECT count(*) FROM jobs WHERE status = 'queued' AND run_at <= now()")
    return count
