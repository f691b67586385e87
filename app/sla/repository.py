"""Every SQL statement that touches clocks, and what they are held to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Connection
from app.sla.clock import Clock, Clocks, Kind, due_at, next_at
from app.sla.hours import Hours
from app.sla.rules import Facts
from app.sla.schemas import Calendar, Policy, Situation
from app.sla.settings_repository import POLICY
from app.tickets.schemas import Priority

SWEEP_LOCK = 0x5_1A
"""Any number will do, as long as it is always this one."""


async def situation(conn: Connection, ticket_id: UUID) -> Situation | None:
    """Of the policies that fit, the one with the most conditions; among equals tier, then queue counts most.

    The moment of the statement, not of the transaction: one that waited for the ticket comes after.
    """
    row = await conn.fetchrow(
        f"""
        SELECT t.status::text AS ticket_status, t.created_at AS ticket_created_at,
               clock_timestamp() AS moment,
               EXISTS (SELECT 1 FROM ticket_messages m JOIN users u ON u.id = m.author_id
                        WHERE m.ticket_id = t.id AND NOT m.internal AND m.author_id <> t.customer_id
                      ) AS answered,
               to_jsonb(cal) AS cal, to_jsonb(pol) AS pol
          FROM tickets t
          LEFT JOIN customer_tiers ct ON ct.user_id = t.customer_id
          LEFT JOIN LATERAL (
               SELECT {POLICY}, p.calendar_id FROM sla_policies p JOIN sla_calendars c ON c.id = p.calendar_id
                 LEFT JOIN queues q ON q.id = p.queue_id
                WHERE (p.priority IS NULL OR p.priority = t.priority)
                  AND (p.queue_id IS NULL OR p.queue_id = t.queue_id)
                  AND (p.tier IS NULL OR p.tier = ct.tier)
                ORDER BY num_nonnulls(p.priority, p.queue_id, p.tier) DESC, p.tier IS NULL, p.queue_id IS NULL
                LIMIT 1) pol ON true
          LEFT JOIN sla_calendars cal ON cal.id = pol.calendar_id
         WHERE t.id = $1
        """,  # noqa: S608
        ticket_id,
    )
    if row is None:
        return None
    policy = {key: value for key, value in (row["pol"] or {}).items() if key != "calendar_id"}
    return Situation(
        facts=Facts(row["ticket_status"], row["ticket_created_at"], row["answered"]),
        now=row["moment"],
        policy=Policy.model_validate(policy) if policy else None,
        calendar=Calendar.model_validate(row["cal"]) if row["cal"] else None,
    )


async def clocks(conn: Connection, ticket_id: UUID) -> tuple[Clocks, Calendar | None]:
    """A ticket's clocks, and the calendar that those which have not ended count by."""
    rows = await conn.fetch(
        """
        SELECT k.kind, k.target, k.started_at, k.since, k.spent, k.warned, k.ended_at, to_jsonb(c) AS calendar
          FROM sla_clocks k JOIN sla_calendars c ON c.id = k.calendar_id
         WHERE k.ticket_id = $1 ORDER BY k.ended_at NULLS FIRST
        """,
        ticket_id,
    )
    found = [{key: value for key, value in row.items() if key != "calendar"} for row in rows]
    calendar = Calendar.model_validate(rows[0]["calendar"]) if rows else None
    return {fields["kind"]: Clock(**fields) for fields in found}, calendar


async def moment(conn: Connection) -> datetime:
    """The database's time, now."""
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now


async def save(
    conn: Connection, ticket_id: UUID, changed: Iterable[Clock], policy: Policy, calendar: Calendar
) -> None:
    hours = calendar.hours()
    await conn.executemany(
        """
        INSERT INTO sla_clocks (ticket_id, policy_id, calendar_id, kind, target, started_at, since, spent,
                                warned, ended_at, target_at, next_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (ticket_id, kind) DO UPDATE
           SET policy_id = excluded.policy_id, calendar_id = excluded.calendar_id, target = excluded.target,
               started_at = excluded.started_at, since = excluded.since, spent = excluded.spent,
               warned = excluded.warned, ended_at = excluded.ended_at, next_at = excluded.next_at,
               target_at = coalesce(excluded.target_at,
                                    CASE WHEN excluded.ended_at IS NOT NULL THEN sla_clocks.target_at END)
        """,
        [(ticket_id, policy.id, calendar.id, *_values(clock, hours)) for clock in changed],
    )


def _values(clock: Clock, hours: Hours) -> tuple[Any, ...]:
    state = clock.since, clock.spent, clock.warned, clock.ended_at
    return clock.kind, clock.target, clock.started_at, *state, due_at(clock, hours), next_at(clock, hours)


async def keep_results(conn: Connection, ticket_id: UUID, changed: Sequence[Clock], now: datetime) -> None:
    """Keep what became of these promises by `now`; one that was kept and runs on is open again."""
    if not changed:
        return
    await conn.execute(
        """
        WITH changed AS MATERIALIZED (
            SELECT * FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[])
                          AS clock (kind, started_at, state, ended_at)
        ), undecided AS (
            DELETE FROM sla_results r USING changed c
             WHERE r.ticket_id = $1 AND r.kind = c.kind AND r.started_at = c.started_at AND r.met
               AND c.state IN ('active', 'paused')
        )
        INSERT INTO sla_results AS known (ticket_id, kind, started_at, met, decided_at)
        SELECT $1, kind, started_at, state = 'met', CASE state WHEN 'met' THEN ended_at ELSE $6 END
          FROM changed WHERE state IN ('met', 'breached')
        ON CONFLICT (ticket_id, kind, started_at) DO UPDATE
           SET met = excluded.met, decided_at = excluded.decided_at WHERE known.met
        """,
        ticket_id,
        [clock.kind for clock in changed],
        [clock.started_at for clock in changed],
        [clock.state for clock in changed],
        [clock.ended_at for clock in changed],
        now,
    )


async def drop(conn: Connection, ticket_id: UUID, kinds: Iterable[Kind]) -> None:
    await conn.execute(
        "DELETE FROM sla_clocks WHERE ticket_id = $1 AND kind = ANY($2)", ticket_id, list(kinds)
    )


async def take_sweep(conn: Connection) -> bool:
    """Whether nobody else sweeps; until this transaction ends."""
    free: bool = await conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", SWEEP_LOCK)
    return free


async def look_again(conn: Connection, customer_id: UUID | None) -> None:
    """Make the running clocks of a customer, or of everybody, due for the sweep.

    Those that a ticket's change holds are left out: it reads the policies anew, and to wait for one clock of
    a ticket with another in hand would be a deadlock.
    """
    await conn.execute(
        """
        WITH running AS MATERIALIZED (
            SELECT ticket_id, kind FROM sla_clocks
             WHERE since IS NOT NULL AND (next_at IS NULL OR next_at > now())
               AND ($1::uuid IS NULL OR ticket_id IN (SELECT id FROM tickets WHERE customer_id = $1))
               FOR UPDATE SKIP LOCKED
        )
        UPDATE sla_clocks SET next_at = now() FROM running
         WHERE sla_clocks.ticket_id = running.ticket_id AND sla_clocks.kind = running.kind
        """,
        customer_id,
    )


async def prospect(
    conn: Connection, queue: str | None, priority: Priority
) -> tuple[Policy, Calendar, datetime] | None:
    """The policy that would fit a ticket made now by a customer without a tier, and that moment."""
    row = await conn.fetchrow(
        f"""
        SELECT to_jsonb(cal) AS cal, to_jsonb(pol) AS pol, clock_timestamp() AS moment
          FROM (SELECT {POLICY}, p.calendar_id
                  FROM sla_policies p JOIN sla_calendars c ON c.id = p.calendar_id
                  LEFT JOIN queues q ON q.id = p.queue_id
                 WHERE (p.priority IS NULL OR p.priority = $2::text::ticket_priority)
                   AND (p.queue_id IS NULL OR q.name = $1) AND p.tier IS NULL
                 ORDER BY num_nonnulls(p.priority, p.queue_id) DESC, p.queue_id IS NULL
                 LIMIT 1) pol
          JOIN sla_calendars cal ON cal.id = pol.calendar_id
        """,  # noqa: S608
        queue,
        priority,
    )
    if row is None:
        return None
    policy = {key: value for key, value in row["pol"].items() if key != "calendar_id"}
    return Policy.model_validate(policy), Calendar.model_validate(row["cal"]), row["moment"]


async def due(conn: Connection, now: datetime | None, limit: int) -> list[UUID]:
    """Tickets with a clock that has something to say, longest due first; `None` is the database's now."""
    rows = await conn.fetch(
        """
        SELECT ticket_id FROM sla_clocks WHERE next_at <= coalesce($1, now())
         GROUP BY ticket_id ORDER BY min(next_at) LIMIT $2
        """,
        now,
        limit,
    )
    return [row["ticket_id"] for row in rows]
