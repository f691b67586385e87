"""Lets the active version of triage read old tickets: those that were never read, or with --all every one.

A Ray Data job over pages of tickets. What it says of a ticket is written once for each version, whoever
else runs: it can be stopped at any time and run again, and goes on where it was. Nobody is assigned by it,
and what people decided stays.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from app import db
from app.routing import service as routing
from app.tickets import desk
from app.triage import service as versions
from config import environment
from config.embedded.child import StoreFailed
from config.environment import Environment
from config.profile import Profile, ProfileError, load
from models.artefacts import Artefacts
from models.embedding.onnx import ModelNotFound
from models.triage.artefact import ArtefactError
from models.triage.protocol import Triage
from pipelines import console
from pipelines.backfilling.stages import TICKETS, Read, TriagerOptions
from pipelines.indexing.cluster import connected
from pipelines.indexing.stages import EmbedderOptions
from pipelines.training import registry

PAGE = 2000
"""Tickets that are read from PostgreSQL and handed to Ray at a time."""

Row = tuple[UUID, str, str]
Reader = Callable[[Sequence[Row]], Iterator[list[tuple[UUID, Triage]]]]


class NothingLearnt(RuntimeError):
    """No version of triage is active."""


TROUBLES = (
    NothingLearnt,
    ArtefactError,
    ModelNotFound,
    ProfileError,
    StoreFailed,
    db.MigrationError,
    db.DatabaseDown,
    OSError,
    asyncpg.PostgresError,
)


@dataclass(slots=True)
class Backfill:
    """What a run did."""

    read: int = 0
    written: int = 0
    seconds: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also tickets that an older version has read")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")


def run(args: argparse.Namespace) -> int:
    here = environment.read()
    try:
        profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
        with registry.database(here) as dsn:
            done = _on_ray(dsn, here, profile, everything=args.all)
    except TROUBLES as error:
        return console.failed(error)
    except KeyboardInterrupt:
        return console.failed("interrupted; what was written stays, and the next run goes on from there")
    summary = {"read": done.read, "written": done.written, "seconds": round(done.seconds, 1)}
    if args.json:
        args.json.write_text(json.dumps(summary, indent=2) + "\n")
    console.table("Triage of old tickets", summary)
    return 0


def _on_ray(dsn: str, here: Environment, profile: Profile, *, everything: bool) -> Backfill:
    settings = profile.embedder
    embedder = EmbedderOptions(here.models / settings.model, settings.precision, 1, settings.max_tokens)
    embedder.check()
    with connected(here.home) as actors, console.progress("back-fill") as report:

        def reader(version: str, artefact: Path) -> Reader:
            options = TriagerOptions(embedder, artefact, version, profile.triage.abstain_below)
            return lambda rows: _read_on_ray(rows, options, actors)

        return asyncio.run(backfill(dsn, Artefacts(here.artefacts), reader, everything, report))


def _read_on_ray(
    rows: Sequence[Row], options: TriagerOptions, actors: int
) -> Iterator[list[tuple[UUID, Triage]]]:
    import ray  # seconds that --help does without

    items = [{"id": str(id_), "subject": subject, "body": body} for id_, subject, body in rows]
    data = ray.data.from_items(items, override_num_blocks=max(1, min(8, len(items) // TICKETS)))
    read = data.map_batches(
        Read, fn_constructor_args=(options,), batch_size=TICKETS, num_cpus=0.5, concurrency=actors
    )
    for batch in read.iter_batches(batch_size=TICKETS, prefetch_batches=1):
        yield [(UUID(str(id_)), said) for id_, said in zip(batch["id"], batch["said"], strict=True)]


async def backfill(
    dsn: str,
    artefacts: Artefacts,
    reader: Callable[[str, Path], Reader],
    everything: bool,
    report: Callable[[str], None] = lambda text: None,
) -> Backfill:
    """Page by page; each batch of what was read is written in a transaction of its own."""
    done, started = Backfill(), time.monotonic()
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=2, statement_timeout_s=30)
    try:
        async with db.transaction(pool) as conn:
            active = await versions.active(conn)
        if active is None:
            raise NothingLearnt("no version of triage is active: train one first")
        read = reader(str(active.id), artefacts.fetch(active.artefact))
        after: UUID | None = None
        while rows := await _page(pool, after, everything):
            after = rows[-1][0]
            async with db.transaction(pool) as conn:
                unread = await versions.unread(conn, active.id, [row[0] for row in rows])
            for batch in read([row for row in rows if row[0] in unread]) if unread else ():
                done.read += len(batch)
                done.written += await _write(pool, batch)
                report(f"{done.written:,} tickets")
    finally:
        await pool.close()
    done.seconds = time.monotonic() - started
    return done


async def _page(pool: db.Pool, after: UUID | None, everything: bool) -> list[Row]:
    async with db.transaction(pool) as conn:
        return await desk.texts_after(conn, after, PAGE, untriaged=not everything)


async def _write(pool: db.Pool, batch: Sequence[tuple[UUID, Triage]]) -> int:
    """How many were written, in the order of ids: two runs at once write each once and do not deadlock."""
    async with db.transaction(pool) as conn:
        written = [
            await routing.settle_old(conn, ticket_id, said) for ticket_id, said in sorted(batch, key=_id)
        ]
    return sum(written)


def _id(pair: tuple[UUID, Triage]) -> UUID:
    return pair[0]
