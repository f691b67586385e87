"""Jobs that were given up after their last attempt: looked at, and queued again once their cause is gone."""

from uuid import UUID

from rich.console import Console
from rich.table import Table

from app import db
from app.jobs import service
from app.jobs.schemas import Job

MOST = 500
"""Replayed at once: what is more is replayed by running it again."""


async def dead(dsn: str, replay: str | None) -> int:
    """List dead jobs, or replay the one with that id, or `all` of them."""
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=30)
    try:
        async with db.transaction(pool) as conn:
            found = await service.dead(conn, limit=MOST)
            if replay is None:
                _show(found)
                return 0
            wanted = [job.id for job in found] if replay == "all" else [UUID(replay)]
            for job_id in wanted:
                await service.replay(conn, job_id)
    except ValueError:
        print(f"{replay!r} is not the id of a job; without --replay they are listed")
        return 2
    finally:
        await pool.close()
    print(f"{len(wanted)} queued again")
    return 0


def _show(found: list[Job]) -> None:
    table = Table("id", "kind", "attempts", "ended", "last error", title="Dead jobs")
    for job in found:
        ended = f"{job.finished_at:%Y-%m-%d %H:%M}" if job.finished_at else ""
        table.add_row(str(job.id), job.kind, str(job.attempts), ended, (job.last_error or "")[:80])
    Console().print(table)
