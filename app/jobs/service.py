"""What the rest of the application may do with jobs."""

from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.errors import Conflict, NotFound
from app.jobs import observation, repository
from app.jobs.schemas import Job, JobStatus, Payload


class JobNotFound(NotFound):
    """There is no such job."""


class JobNotDead(Conflict):
    """Only a dead job can be replayed."""


async def enqueue(
    conn: Connection,
    kind: str,
    payload: Payload,
    *,
    dedupe_key: str | None = None,
    run_at: datetime | None = None,
) -> UUID | None:
    """Ask for a job in the transaction of the change it follows from.

    With a `dedupe_key`, `None` where a job of this kind and key is waiting already, which then runs at the
    earlier of both times. One that runs does not count: it may have read its data before this change.
    """
    return await repository.add(
        conn, kind, payload, dedupe_key=dedupe_key, run_at=run_at, origin=observation.origin(kind)
    )


async def get(conn: Connection, job_id: UUID) -> Job:
    job = await repository.get(conn, job_id)
    if job is None:
        raise JobNotFound
    return job


async def dead(conn: Connection, *, before: UUID | None = None, limit: int = 100) -> list[Job]:
    """The dead letters, newest first."""
    return await repository.dead(conn, before=before, limit=limit)


async def depths(conn: Connection) -> tuple[dict[str, dict[JobStatus, int]], float]:
    """How many jobs there are by kind and status, and for how many seconds the oldest due one waits."""
    return await repository.depths(conn)


async def replay(conn: Connection, job_id: UUID) -> None:
    """Run a dead job again, with all its attempts."""
    if not await repository.revive(conn, job_id):
        await get(conn, job_id)
        raise JobNotDead


async def depth(conn: Connection) -> int:
    """How many jobs could run now; the autoscaling policy divides them among workers."""
    return await repository.due(conn)


async def waiting(conn: Connection) -> list[tuple[str, int, float, int]]:
    """Of each kind: jobs that could run now, seconds the oldest has waited, and how many are dead."""
    return await repository.waiting(conn)
