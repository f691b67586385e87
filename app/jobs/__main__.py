"""python -m app.jobs: the dead letters, on a terminal.

    python -m app.jobs dead                 lists them, newest first
    python -m app.jobs replay ID [ID ...]   runs them again; `all` for every one

It needs DATABASE_URL.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from app import db
from app.errors import ServiceError
from app.jobs import service
from config import environment
from config.environment import MissingSetting

AT_MOST = 1000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m app.jobs", description="Dead jobs: look and replay.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("dead", help="list dead jobs, newest first")
    listing.add_argument("--json", type=Path, help="write them to this file")
    replaying = commands.add_parser("replay", help="run dead jobs again")
    replaying.add_argument("ids", nargs="+", metavar="ID", help="job ids, or `all`")
    given = parser.parse_args(arguments)
    try:
        work = _dead(given.json) if given.command == "dead" else _replay(given.ids)
        asyncio.run(work)
    except (ServiceError, MissingSetting, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _dead(file: Path | None) -> None:
    async with _connected() as conn:
        found = await service.dead(conn, limit=AT_MOST)
    for job in found:
        sys.stdout.write(f"{job.id}  {job.finished_at:%Y-%m-%d %H:%M}  {job.kind:<20} {job.last_error}\n")
    sys.stdout.write(f"{len(found)} dead jobs\n")
    if file:
        await asyncio.to_thread(file.write_text, json.dumps([job.model_dump(mode="json") for job in found]))


async def _replay(ids: list[str]) -> None:
    async with _connected() as conn:
        wanted = [job.id for job in await service.dead(conn, limit=AT_MOST)] if ids == ["all"] else None
        for job_id in wanted if wanted is not None else [UUID(text) for text in ids]:
            await service.replay(conn, job_id)
            sys.stdout.write(f"{job_id} waits for a worker\n")


@asynccontextmanager
async def _connected() -> AsyncIterator[db.Connection]:
    pool = await db.connect(environment.read().require_database_url(), max_size=1, statement_timeout_s=10)
    try:
        async with db.transaction(pool) as conn:
            yield conn
    finally:
        await pool.close()


if __name__ == "__main__":
    sys.exit(main())
