"""Every SQL statement about what triage said of, and learnt from, one person's tickets."""

from uuid import UUID

from pydantic import BaseModel

from app.db import Connection
from app.holdings import Counts, Holdings, Part
from app.jobs import service as jobs

DECISIONS = Part(
    "triage-decisions",
    """
    SELECT d.ticket_id AS id, d.intent, d.queue, d.priority, d.best, d.probability, d.created_at
      FROM triage_decisions d JOIN tickets t ON t.id = d.ticket_id
     WHERE t.customer_id = $1 AND NOT d.shadow AND ($2::uuid IS NULL OR d.ticket_id > $2)
     ORDER BY d.ticket_id LIMIT $3
    """,
)
CORRECTIONS = Part(
    "triage-corrections",
    """
    SELECT e.ticket_id AS id, e.intent, e.queue, e.priority, e.updated_at
      FROM triage_examples e JOIN tickets t ON t.id = e.ticket_id
     WHERE t.customer_id = $1 AND ($2::uuid IS NULL OR e.ticket_id > $2) ORDER BY e.ticket_id LIMIT $3
    """,
)


FORGET = "triage_forget"


class Forgetting(BaseModel):
    """Payload of `triage_forget`."""

    person_id: UUID


async def _forget(conn: Connection, person: UUID) -> Counts:
    """Labels stay for the figures; an example without its text teaches nothing. Artefacts follow by a job."""
    examples = await conn.fetch(
        """
        DELETE FROM triage_examples e USING tickets t
         WHERE t.id = e.ticket_id AND t.customer_id = $1 RETURNING e.ticket_id
        """,
        person,
    )
    projections = await conn.fetch(
        """
        UPDATE triage_decisions d SET projection = '{}' FROM tickets t
         WHERE t.id = d.ticket_id AND t.customer_id = $1 RETURNING d.ticket_id
        """,
        person,
    )
    payload = Forgetting(person_id=person).model_dump(mode="json")
    await jobs.enqueue(conn, FORGET, payload, dedupe_key=str(person))
    return {"triage_examples": len(examples), "triage_projections": len(projections)}


HOLDINGS = Holdings((DECISIONS, CORRECTIONS), _forget)
