"""Every SQL statement that touches queues, agents and their skills."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.auth.sealed import NAME
from app.db import Connection
from app.routing.schemas import Agent, AgentPatch, AgentSeed, Queue, QueueSeed, Skill
from app.routing.scoring import Candidate
from app.vault.service import open_rows

SKILLS_OF = """
       (SELECT coalesce(jsonb_object_agg(s.skill, s.level), '{}') FROM agent_skills s
         WHERE s.user_id = a.user_id) AS skills
"""


async def queues(conn: Connection) -> list[Queue]:
    rows = await conn.fetch(
        """
        SELECT q.id, q.name, q.description, q.takes_unknown,
               (SELECT count(*) FROM tickets t
                 WHERE t.queue_id = q.id AND t.assignee_id IS NULL AND t.status IN ('new', 'open')) AS waiting
          FROM queues q ORDER BY q.name
        """
    )
    return [Queue(**row) for row in rows]


async def agents(conn: Connection) -> list[Agent]:
    rows = await conn.fetch(
        f"""
        SELECT a.user_id AS id, u.name, a.present, a.capacity, a.languages, a.last_assigned_at, 0 AS open,
               ARRAY(SELECT q.name FROM agent_queues aq JOIN queues q ON q.id = aq.queue_id
                      WHERE aq.user_id = a.user_id ORDER BY q.name) AS queues, {SKILLS_OF}
          FROM agents a JOIN users u ON u.id = a.user_id
         WHERE u.active
        """  # noqa: S608
    )
    found = [Agent(**row) for row in await open_rows(conn, rows, {"name": (NAME, "id")})]
    return sorted(found, key=lambda agent: (agent.name, agent.id))


async def skills(conn: Connection) -> list[Skill]:
    rows = await conn.fetch(
        "SELECT skill AS name, count(*) AS agents FROM agent_skills GROUP BY skill ORDER BY skill"
    )
    return [Skill(**row) for row in rows]


async def lock_members(conn: Connection, queues: Sequence[str]) -> None:
    """Hold the agents of these queues until this transaction ends: in one order, so that nobody deadlocks."""
    await conn.execute(
        """
        SELECT 1 FROM agents a
         WHERE a.user_id IN (SELECT aq.user_id FROM agent_queues aq JOIN queues q ON q.id = aq.queue_id
                              WHERE q.name = ANY($1))
         ORDER BY a.user_id
           FOR NO KEY UPDATE
        """,
        list(queues),
    )


async def members(conn: Connection, queue: str) -> list[Candidate]:
    """The agents of a queue; their load is not known here and stands at 0."""
    rows = await conn.fetch(
        f"""
        SELECT a.user_id, u.name, a.languages, a.capacity, a.present, a.last_assigned_at, {SKILLS_OF}
          FROM agents a
          JOIN users u ON u.id = a.user_id
          JOIN agent_queues aq ON aq.user_id = a.user_id
          JOIN queues q ON q.id = aq.queue_id
         WHERE q.name = $1 AND u.active
        """,  # noqa: S608
        queue,
    )
    return [_candidate(row) for row in await open_rows(conn, rows, {"name": (NAME, "user_id")})]


def _candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(
        id=row["user_id"],
        name=row["name"],
        languages=frozenset(row["languages"]),
        skills=row["skills"],
        capacity=row["capacity"],
        present=row["present"],
        last_assigned_at=row["last_assigned_at"],
        open=0,
    )


async def mark_assigned(conn: Connection, user_id: UUID) -> None:
    """The moment of the statement, not of the transaction: several in one transaction keep their order."""
    await conn.execute("UPDATE agents SET last_assigned_at = clock_timestamp() WHERE user_id = $1", user_id)


async def queue_ids(conn: Connection, *, agent_id: UUID | None, name: str | None) -> list[UUID]:
    """The queues of that agent, and the one of that name."""
    rows = await conn.fetch(
        """
        SELECT id FROM queues
         WHERE name = $2 OR id IN (SELECT queue_id FROM agent_queues WHERE user_id = $1)
         ORDER BY id
        """,
        agent_id,
        name,
    )
    return [row["id"] for row in rows]


async def upsert_queue(conn: Connection, seed: QueueSeed) -> UUID:
    """The queue that takes what is unknown is the last one that was said to."""
    if seed.takes_unknown:
        await conn.execute(
            "UPDATE queues SET takes_unknown = false WHERE takes_unknown AND name <> $1", seed.name
        )
    queue_id: UUID = await conn.fetchval(
        """
        INSERT INTO queues (name, description, takes_unknown) VALUES ($1, $2, $3)
        ON CONFLICT (name)
        DO UPDATE SET description = excluded.description, takes_unknown = excluded.takes_unknown
        RETURNING id
        """,
        seed.name,
        seed.description,
        seed.takes_unknown,
    )
    return queue_id


async def queue_of_unknown(conn: Connection) -> str | None:
    """Where tickets go that triage has no queue for; `None` where no queue takes them."""
    found: str | None = await conn.fetchval("SELECT name FROM queues WHERE takes_unknown")
    return found


async def upsert_agent(conn: Connection, user_id: UUID, seed: AgentSeed) -> None:
    """Write an agent as the file has them; whether they are present is left as it is."""
    await conn.execute(
        """
        INSERT INTO agents (user_id, capacity, languages) VALUES ($1, $2, $3)
        ON CONFLICT (user_id) DO UPDATE SET capacity = excluded.capacity, languages = excluded.languages
        """,
        user_id,
        seed.capacity,
        seed.languages,
    )
    await _replace_queues(conn, user_id, seed.queues)
    await _replace_skills(conn, user_id, seed.skills)


async def change_agent(conn: Connection, user_id: UUID, patch: AgentPatch) -> bool:
    """`False` where there is no such agent."""
    found = await conn.fetchval(
        """
        UPDATE agents SET present = coalesce($2, present), capacity = coalesce($3, capacity),
                          languages = coalesce($4, languages)
         WHERE user_id = $1 RETURNING true
        """,
        user_id,
        patch.present,
        patch.capacity,
        patch.languages,
    )
    if found and patch.queues is not None:
        await _replace_queues(conn, user_id, patch.queues)
    if found and patch.skills is not None:
        await _replace_skills(conn, user_id, patch.skills)
    return bool(found)


async def _replace_queues(conn: Connection, user_id: UUID, names: Sequence[str]) -> None:
    await conn.execute("DELETE FROM agent_queues WHERE user_id = $1", user_id)
    await conn.execute(
        "INSERT INTO agent_queues (user_id, queue_id) SELECT $1, id FROM queues WHERE name = ANY($2)",
        user_id,
        list(names),
    )


async def _replace_skills(conn: Connection, user_id: UUID, levels: Mapping[str, int]) -> None:
    await conn.execute("DELETE FROM agent_skills WHERE user_id = $1", user_id)
    await conn.execute(
        """
        INSERT INTO agent_skills (user_id, skill, level)
        SELECT $1, skill, level FROM unnest($2::text[], $3::integer[]) AS given (skill, level)
        """,
        user_id,
        list(levels),
        list(levels.values()),
    )
