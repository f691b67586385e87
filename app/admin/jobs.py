"""/api/v1/admin/jobs: what no attempt could do, to be looked at and replayed. For administrators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.auth.access import SignedIn
from app.auth.schemas import Identity
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.jobs import service
from app.jobs.schemas import Job, JobStatus
from app.jobs.service import JobNotDead, JobNotFound
from app.state import Transaction

router = APIRouter(
    prefix="/api/v1/admin/jobs",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


class JobOut(BaseModel):
    """A job without its payload, which may hold what people wrote."""

    id: UUID
    kind: str
    status: JobStatus
    attempts: int
    run_at: datetime
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None


class Jobs(BaseModel):
    items: list[JobOut]
    next_cursor: str | None = None


class Depths(BaseModel):
    """How many jobs there are of each kind and status; done ones are kept for a day."""

    counts: dict[str, dict[JobStatus, int]]
    oldest_due_s: float = Field(description="how long the job that waits longest could have run")


@router.get("/dead")
async def dead(
    who: SignedIn,
    conn: Transaction,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Jobs:
    """The dead letters, newest first."""
    _may(who)
    found = await service.dead(conn, before=cursor, limit=limit + 1)
    following = str(found[limit - 1].id) if len(found) > limit else None
    return Jobs(items=[_out(job) for job in found[:limit]], next_cursor=following)


@router.get("/depths")
async def depths(who: SignedIn, conn: Transaction) -> Depths:
    _may(who)
    counts, oldest_s = await service.depths(conn)
    return Depths(counts=counts, oldest_due_s=oldest_s)


@router.post("/{job_id}/replay", responses=documented(JobNotFound, JobNotDead))
async def replay(job_id: UUID, who: SignedIn, conn: Transaction) -> JobOut:
    """Run a dead job again, with all its attempts."""
    _may(who)
    await service.replay(conn, job_id)
    return _out(await service.get(conn, job_id))


def _may(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden


def _out(job: Job) -> JobOut:
    return JobOut.model_validate(job, from_attributes=True)
