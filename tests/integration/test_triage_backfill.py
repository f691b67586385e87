"""Back-fill: every old ticket is read once, however often it is stopped and whoever runs beside it."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from app import db
from app.db import Connection
from app.triage import service as versions
from app.triage.schemas import Trained
from models.artefacts import Artefacts
from models.triage.learnt import LearntTriager
from models.triage.protocol import Triage
from pipelines.backfilling.triage import NothingLearnt, Reader, Row, backfill
from pipelines.training import registry
from tests import factories

TICKETS, BATCH = 40, 8


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def reading(stop_after: int | None = None, seen: list[UUID] | None = None) -> type:
    """A reader in this process that is interrupted after so many batches."""

    class Reading:
        def __new__(cls, version: str, artefact: Path) -> Reader:  # type: ignore[misc]
            triager = LearntTriager.load(artefact, factories.WordVectors(), version=version)

            def read(rows: Sequence[Row]) -> Iterator[list[tuple[UUID, Triage]]]:
                for n in range(0, len(rows), BATCH):
                    if stop_after is not None and n // BATCH >= stop_after:
                        raise Interrupted
                    batch = rows[n : n + BATCH]
                    if seen is not None:
                        seen.extend(row[0] for row in batch)
                    said = [triager._decide(f"{s}\n{b}", triager._embedder.encode([b])) for _, s, b in batch]  # type: ignore[attr-defined]
                    yield [(row[0], each) for row, each in zip(batch, said, strict=True)]

            return read

    return Reading


async def desk_with_old_tickets(conn: Connection, artefacts: Artefacts) -> None:
    for queue in ("accounts", "billing", "sync"):
        await factories.queue(conn, queue)
    customer = await factories.person(conn)
    for n in range(TICKETS):
        await factories.ticket(conn, customer, subject=f"Old {n}", body="password login refused")
    artefact = registry.keep_model(artefacts, factories.triage_model())
    async with conn.transaction():
        trained = Trained(artefact=artefact, data=None, data_fingerprint="f", figures={})
        await versions.promote(conn, None, (await versions.register(conn, trained)).id)


async def counts(conn: Connection) -> tuple[int, int, int]:
    """Decisions, events of triage, tickets with a queue."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM triage_decisions),
               (SELECT count(*) FROM ticket_events WHERE kind = 'triaged'),
               (SELECT count(*) FROM tickets WHERE queue_id IS NOT NULL)
        """
    )
    assert row
    return row[0], row[1], row[2]


async def test_it_needs_a_version(conn: Connection, database_url: str, tmp_path: Path) -> None:
    with pytest.raises(NothingLearnt):
        await backfill(database_url, Artefacts(str(tmp_path)), reading(), everything=False)


async def test_stopped_and_resumed_every_ticket_is_read_once(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    artefacts = Artefacts(str(tmp_path))
    await desk_with_old_tickets(conn, artefacts)
    seen: list[UUID] = []
    for _ in range(2):
        with pytest.raises(Interrupted):
            await backfill(database_url, artefacts, reading(2, seen), everything=False)
    rest = await backfill(database_url, artefacts, reading(None, seen), everything=False)
    assert (rest.read, len(seen), len(set(seen))) == (TICKETS - 4 * BATCH, TICKETS, TICKETS)
    assert await counts(conn) == (TICKETS, TICKETS, TICKETS)
    again = await backfill(database_url, artefacts, reading(), everything=True)
    assert (again.read, again.written) == (0, 0)


async def test_two_runs_at_once_write_every_ticket_once(
    conn: Connection, pool: db.Pool, database_url: str, tmp_path: Path
) -> None:
    artefacts = Artefacts(str(tmp_path))
    await desk_with_old_tickets(conn, artefacts)
    runs = await asyncio.gather(
        *(backfill(database_url, artefacts, reading(), everything=False) for _ in range(2))
    )
    assert sum(each.written for each in runs) == TICKETS
    assert await counts(conn) == (TICKETS, TICKETS, TICKETS)
