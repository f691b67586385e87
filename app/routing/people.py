"""Every SQL statement about one agent's place at the desk."""

from uuid import UUID

from app.db import Connection
from app.holdings import Counts, Holdings, Part

AGENTS = Part(
    "work",
    """
    SELECT a.user_id AS id, a.capacity, a.present, a.languages,
           ARRAY(SELECT q.name FROM agent_queues aq JOIN queues q ON q.id = aq.queue_id
                  WHERE aq.user_id = a.user_id ORDER BY q.name) AS queues,
           (SELECT jsonb_object_agg(s.skill, s.level) FROM agent_skills s
             WHERE s.user_id = a.user_id) AS skills
      FROM agents a WHERE a.user_id = $1 AND $2::uuid IS NULL LIMIT $3
    """,
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    """Their queues and skills go with them."""
    rows = await conn.fetch("DELETE FROM agents WHERE user_id = $1 RETURNING user_id", person)
    return {"agents": len(rows)}


HOLDINGS = Holdings((AGENTS,), _forget)
