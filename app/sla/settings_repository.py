"""Every SQL statement that touches calendars, policies and customers' tiers: what is promised to whom."""

from typing import Any
from uuid import UUID

import asyncpg

from app.db import Connection
from app.sla.schemas import Calendar, CalendarDraft, Policy, PolicyDraft

POLICY = """
p.id, p.name, c.name AS calendar, p.priority::text, q.name AS queue, p.tier, p.first_response_min,
p.next_response_min, p.resolution_min, p.escalations
"""


async def calendars(conn: Connection) -> list[Calendar]:
    return [_calendar(row) for row in await conn.fetch("SELECT * FROM sla_calendars ORDER BY name")]


async def calendar(conn: Connection, calendar_id: UUID) -> Calendar | None:
    row = await conn.fetchrow("SELECT * FROM sla_calendars WHERE id = $1", calendar_id)
    return _calendar(row) if row else None


async def calendar_id(conn: Connection, name: str) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT id FROM sla_calendars WHERE name = $1", name)
    return found


async def add_calendar(conn: Connection, draft: CalendarDraft) -> UUID | None:
    """`None` where the name is taken."""
    added: UUID | None = await conn.fetchval(
        """
        INSERT INTO sla_calendars (name, zone, week, country, subdivision, closed)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
        """,
        *_calendar_values(draft),
    )
    return added


async def replace_calendar(conn: Connection, calendar_id: UUID, draft: CalendarDraft) -> bool:
    """`False` where the name is taken."""
    try:
        async with conn.transaction():
            await conn.execute(
                """
                UPDATE sla_calendars
                   SET name = $1, zone = $2, week = $3, country = $4, subdivision = $5, closed = $6
                 WHERE id = $7
                """,
                *_calendar_values(draft),
                calendar_id,
            )
    except asyncpg.UniqueViolationError:
        return False
    return True


def _calendar_values(draft: CalendarDraft) -> tuple[Any, ...]:
    week = draft.model_dump(mode="json")["week"]
    return draft.name, draft.zone, week, draft.country, draft.subdivision, draft.closed


def _calendar(row: "asyncpg.Record") -> Calendar:
    return Calendar.model_validate(dict(row))


async def policies(conn: Connection) -> list[Policy]:
    rows = await conn.fetch(
        f"""
        SELECT {POLICY} FROM sla_policies p JOIN sla_calendars c ON c.id = p.calendar_id
          LEFT JOIN queues q ON q.id = p.queue_id ORDER BY p.name
        """  # noqa: S608
    )
    return [Policy.model_validate(dict(row)) for row in rows]


async def policy(conn: Connection, policy_id: UUID) -> Policy | None:
    row = await conn.fetchrow(
        f"""
        SELECT {POLICY} FROM sla_policies p JOIN sla_calendars c ON c.id = p.calendar_id
          LEFT JOIN queues q ON q.id = p.queue_id WHERE p.id = $1
        """,  # noqa: S608
        policy_id,
    )
    return Policy.model_validate(dict(row)) if row else None


async def add_policy(
    conn: Connection, draft: PolicyDraft, calendar_id: UUID, queue_id: UUID | None
) -> UUID | None:
    """`None` where its name or its conditions are taken."""
    added: UUID | None = await conn.fetchval(
        """
        INSERT INTO sla_policies (name, calendar_id, priority, queue_id, tier, first_response_min,
                                  next_response_min, resolution_min, escalations)
        VALUES ($1, $2, $3::text::ticket_priority, $4, $5, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        *_policy_values(draft, calendar_id, queue_id),
    )
    return added


async def replace_policy(
    conn: Connection, policy_id: UUID, draft: PolicyDraft, calendar_id: UUID, queue_id: UUID | None
) -> bool:
    """`False` where its name or its conditions are taken."""
    try:
        async with conn.transaction():
            await conn.execute(
                """
                UPDATE sla_policies
                   SET name = $1, calendar_id = $2, priority = $3::text::ticket_priority, queue_id = $4,
                       tier = $5, first_response_min = $6, next_response_min = $7, resolution_min = $8,
                       escalations = $9
                 WHERE id = $10
                """,
                *_policy_values(draft, calendar_id, queue_id),
                policy_id,
            )
    except asyncpg.UniqueViolationError:
        return False
    return True


def _policy_values(draft: PolicyDraft, calendar_id: UUID, queue_id: UUID | None) -> tuple[Any, ...]:
    escalations = draft.model_dump(mode="json")["escalations"]
    minutes = draft.first_response_min, draft.next_response_min, draft.resolution_min
    return draft.name, calendar_id, draft.priority, queue_id, draft.tier, *minutes, escalations


async def set_tier(conn: Connection, user_id: UUID, tier: str | None) -> bool:
    """`False` where there is no such customer."""
    done = await conn.fetchval("SELECT true FROM users WHERE id = $1 AND role = 'customer'", user_id)
    if done and tier is None:
        await conn.execute("DELETE FROM customer_tiers WHERE user_id = $1", user_id)
    elif done:
        await conn.execute(
            """
            INSERT INTO customer_tiers (user_id, tier) VALUES ($1, $2)
            ON CONFLICT (user_id) DO UPDATE SET tier = excluded.tier
            """,
            user_id,
            tier,
        )
    return bool(done)
