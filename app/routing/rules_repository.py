"""Every SQL statement that touches routing rules."""

from uuid import UUID

import asyncpg

from app.db import Connection
from app.routing.rules import Rule, RuleDraft


async def rules(conn: Connection) -> list[Rule]:
    return [_rule(row) for row in await conn.fetch("SELECT * FROM routing_rules ORDER BY place, id")]


async def add(conn: Connection, draft: RuleDraft) -> Rule | None:
    """`None` where the name is taken."""
    row = await conn.fetchrow(
        """
        INSERT INTO routing_rules (name, place, enabled, conditions, actions) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO NOTHING RETURNING *
        """,
        *_values(draft),
    )
    return _rule(row) if row else None


async def replace(conn: Connection, rule_id: UUID, draft: RuleDraft) -> Rule | None:
    """`None` where another rule has the name."""
    try:
        async with conn.transaction():
            row = await conn.fetchrow(
                """
                UPDATE routing_rules SET name = $1, place = $2, enabled = $3, conditions = $4, actions = $5,
                                         updated_at = now()
                 WHERE id = $6 RETURNING *
                """,
                *_values(draft),
                rule_id,
            )
    except asyncpg.UniqueViolationError:
        return None
    return _rule(row) if row else None


async def drop(conn: Connection, rule_id: UUID) -> bool:
    return bool(await conn.fetchval("DELETE FROM routing_rules WHERE id = $1 RETURNING true", rule_id))


def _values(draft: RuleDraft) -> tuple[object, ...]:
    given = draft.model_dump(mode="json")
    return given["name"], given["place"], given["enabled"], given["conditions"], given["actions"]


def _rule(row: "asyncpg.Record") -> Rule:
    return Rule.model_validate(dict(row))
