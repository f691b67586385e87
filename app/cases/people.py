"""Every SQL statement about the solved cases that were made of one person's questions."""

from collections.abc import Sequence
from uuid import UUID

from app.cases.schemas import CaseJob
from app.cases.sealed import QUESTION
from app.cases.service import INDEX_CASE
from app.db import Connection
from app.holdings import Counts, Holdings, Part
from app.jobs import service as jobs

CASES = Part(
    "solved-cases",
    """
    SELECT id, question, ticket_id, message_id, confirmed_at, created_at FROM solved_cases
     WHERE customer_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
    sealed={"question": QUESTION},
)


async def vectors(conn: Connection, person: UUID) -> dict[str, list[str]]:
    """Ids of what the vector store has of this person, by collection."""
    rows = await conn.fetch(
        """
        SELECT i.collection, array_agg(i.case_id::text) AS ids
          FROM indexed_cases i JOIN solved_cases c ON c.id = i.case_id
         WHERE c.customer_id = $1 GROUP BY i.collection
        """,
        person,
    )
    return {row["collection"]: row["ids"] for row in rows}


async def _forget(conn: Connection, person: UUID) -> Counts:
    """A case and its vector; the job is for one that is being indexed at this moment."""
    rows = await conn.fetch("DELETE FROM solved_cases WHERE customer_id = $1 RETURNING id", person)
    await _drop_vectors(conn, [row["id"] for row in rows])
    return {"solved_cases": len(rows)}


async def _expire(conn: Connection, days: int, limit: int) -> int:
    rows = await conn.fetch(
        """
        DELETE FROM solved_cases WHERE id IN (
            SELECT id FROM solved_cases
             WHERE customer_id IS NOT NULL AND updated_at < now() - make_interval(days => $1) LIMIT $2)
        RETURNING id
        """,
        days,
        limit,
    )
    await _drop_vectors(conn, [row["id"] for row in rows])
    return len(rows)


async def _drop_vectors(conn: Connection, case_ids: Sequence[UUID]) -> None:
    for case_id in case_ids:
        payload = CaseJob(case_id=case_id).model_dump(mode="json")
        await jobs.enqueue(conn, INDEX_CASE, payload, dedupe_key=str(case_id))


HOLDINGS = Holdings((CASES,), _forget, {"solved_cases": _expire})
