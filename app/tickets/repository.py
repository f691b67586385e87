"""Every SQL statement that touches tickets.

What people wrote goes in and comes out as text, and lies there sealed (`sealed`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.db import Connection
from app.tickets import sealed, words
from app.tickets.schemas import (
    Csat,
    CsatDraft,
    Decision,
    Filters,
    Person,
    Ticket,
    TicketDraft,
    TicketPatch,
)
from app.tickets.states import Status
from app.vault.service import open_rows

SELECT = """
SELECT t.id, t.number, t.subject, t.body, t.status::text, t.priority::text, q.name AS queue, t.intent,
       t.language, t.sentiment, t.tags, t.custom, t.triage, t.version, t.created_at, t.updated_at,
       t.assignee_id, a.name AS assignee_name, t.customer_id, c.name AS customer_name,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'kind', k.kind, 'target_at', k.target_at, 'warned', k.warned,
                   'state', CASE WHEN k.warned >= 100 OR k.target_at <= coalesce(k.ended_at, now())
                                 THEN 'breached'
                                 WHEN k.ended_at IS NOT NULL THEN 'met'
                                 WHEN k.since IS NULL THEN 'paused' ELSE 'active' END)
                 ORDER BY k.started_at, k.kind), '[]')
          FROM sla_clocks k WHERE k.ticket_id = t.id) AS sla,
       (SELECT (s.score, s.comment, s.updated_at) FROM ticket_csat s WHERE s.ticket_id = t.id) AS csat,
       (SELECT m.into_id FROM ticket_merges m WHERE m.ticket_id = t.id) AS merged_into
  FROM tickets t
  JOIN users c ON c.id = t.customer_id
  LEFT JOIN users a ON a.id = t.assignee_id
  LEFT JOIN queues q ON q.id = t.queue_id
"""


async def _tickets(conn: Connection, rows: "Sequence[asyncpg.Record]") -> list[Ticket]:
    """The keys of all of them are asked for at once."""
    found = [dict(row) for row in rows]
    for fields in found:
        score, comment, rated_at = fields.pop("csat") or (None, None, None)
        fields |= {"score": score, "comment": comment, "rated_at": rated_at}
    return [_ticket(fields) for fields in await open_rows(conn, found, sealed.OF_TICKETS)]


def _ticket(fields: dict[str, Any]) -> Ticket:
    assignee_id, assignee_name = fields.pop("assignee_id"), fields.pop("assignee_name")
    customer = Person(id=fields.pop("customer_id"), name=fields.pop("customer_name"))
    assignee = Person(id=assignee_id, name=assignee_name) if assignee_id else None
    score, comment, rated_at = (fields.pop(name) for name in ("score", "comment", "rated_at"))
    csat = Csat(score=score, comment=comment, updated_at=rated_at) if score else None
    fields["custom"] = sealed.custom_of(fields["custom"])
    return Ticket(**fields, assignee=assignee, customer=customer, csat=csat)


async def add(conn: Connection, ticket_id: UUID | None, customer_id: UUID, draft: TicketDraft) -> UUID:
    texts = {
        sealed.SUBJECT: draft.subject,
        sealed.BODY: draft.body,
        sealed.CUSTOM: sealed.custom_text(draft.custom),
    }
    added: UUID = await conn.fetchval(
        """
        INSERT INTO tickets (id, customer_id, priority, tags, search, subject, body, custom)
        VALUES (coalesce($1, uuidv7()), $2, $3::text::ticket_priority, $4, $5::text::tsvector, $6, $7, $8)
        RETURNING id
        """,
        ticket_id,
        customer_id,
        draft.priority,
        draft.tags,
        await words.indexed(conn, draft.subject, draft.body),
        *await sealed.seal(conn, customer_id, texts),
    )
    return added


async def get(conn: Connection, ticket_id: UUID) -> Ticket | None:
    rows = await conn.fetch(f"{SELECT} WHERE t.id = $1", ticket_id)
    return next(iter(await _tickets(conn, rows)), None)


async def texts(conn: Connection, ticket_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
    """Subjects and bodies."""
    rows = await conn.fetch(
        "SELECT id, customer_id, subject, body FROM tickets WHERE id = ANY($1)", list(ticket_ids)
    )
    found = await open_rows(conn, rows, sealed.SUBJECT_AND_BODY)
    return {row["id"]: (row["subject"], row["body"]) for row in found}


async def texts_after(
    conn: Connection, after: UUID | None, limit: int, *, untriaged: bool
) -> list[tuple[UUID, str, str]]:
    """Oldest first."""
    rows = await conn.fetch(
        """
        SELECT id, customer_id, subject, body FROM tickets
         WHERE ($1::uuid IS NULL OR id > $1) AND (NOT $3 OR triage IS NULL)
         ORDER BY id LIMIT $2
        """,
        after,
        limit,
        untriaged,
    )
    found = await open_rows(conn, rows, sealed.SUBJECT_AND_BODY)
    return [(row["id"], row["subject"], row["body"]) for row in found]


async def lock(conn: Connection, ticket_id: UUID) -> Ticket | None:
    """The ticket as it stays until this transaction ends."""
    # Two statements: one that waited for the lock would show joined rows as they were before the wait.
    await conn.execute("SELECT 1 FROM tickets WHERE id = $1 FOR NO KEY UPDATE", ticket_id)
    return await get(conn, ticket_id)


async def lock_free(conn: Connection, ticket_ids: Sequence[UUID]) -> list[UUID]:
    """Lock those of the tickets that nobody holds; which they are."""
    rows = await conn.fetch(
        "SELECT id FROM tickets WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        list(ticket_ids),
    )
    return [row["id"] for row in rows]


async def page(conn: Connection, filters: Filters, before: UUID | None, limit: int) -> list[Ticket]:
    """Newest first. Only the filters in use stand in the statement, so that each finds its index."""
    search = await words.query(conn, filters.q) if filters.q else None
    if filters.q and search is None:
        return []
    conditions = {
        "t.customer_id = ${}": filters.customer,
        "t.status = ${}::text::ticket_status": filters.status,
        "t.queue_id = (SELECT id FROM queues WHERE name = ${})": filters.queue,
        "t.priority = ${}::text::ticket_priority": filters.priority,
        "t.assignee_id = ${}": filters.assignee,
        "t.number = ${}": filters.number,
        "t.id < ${}": before,
    }
    used = [(clause, value) for clause, value in conditions.items() if value is not None]
    clauses = [clause.format(n) for n, (clause, _) in enumerate(used, 2)]
    if search is not None:
        clauses.append(f"t.search @@ {words.literal(search)}")
    where = " AND ".join(clauses) or "true"
    rows = await conn.fetch(
        f"{SELECT} WHERE {where} ORDER BY t.id DESC LIMIT $1", limit, *(value for _, value in used)
    )
    return await _tickets(conn, rows)


async def change(conn: Connection, ticket_id: UUID, patch: TicketPatch, queue_id: UUID | None) -> None:
    """Write the fields of `patch` that are not null."""
    subject, custom, search = None, None, None
    if patch.subject is not None or patch.custom is not None:
        subject, custom, search = await _changed_texts(conn, ticket_id, patch)
    await conn.execute(
        """
        UPDATE tickets
           SET priority = coalesce($2::text::ticket_priority, priority), queue_id = coalesce($3, queue_id),
               tags = coalesce($4, tags), intent = coalesce($5, intent), subject = coalesce($6, subject),
               custom = coalesce($7, custom), search = coalesce($8::text::tsvector, search),
               sentiment = coalesce($9, sentiment),
               version = version + 1, updated_at = now()
         WHERE id = $1
        """,
        ticket_id,
        patch.priority,
        queue_id,
        patch.tags,
        patch.intent,
        subject,
        custom,
        search,
        patch.sentiment,
    )


async def _changed_texts(
    conn: Connection, ticket_id: UUID, patch: TicketPatch
) -> tuple[bytes | None, bytes | None, str | None]:
    """Subject and custom fields sealed, and the words of the ticket; those that stay are `None`."""
    rows = await conn.fetch("SELECT customer_id, body FROM tickets WHERE id = $1", ticket_id)
    [row] = await open_rows(conn, rows, {"body": (sealed.BODY, sealed.MINE)})
    custom = None if patch.custom is None else sealed.custom_text(patch.custom)
    texts = {sealed.SUBJECT: patch.subject, sealed.CUSTOM: custom}
    search = await words.indexed(conn, patch.subject, row["body"]) if patch.subject is not None else None
    subject, custom_sealed = await sealed.seal(conn, row["customer_id"], texts)
    return subject, custom_sealed, search


async def set_status(conn: Connection, ticket_id: UUID, status: Status) -> None:
    await conn.execute(
        """
        UPDATE tickets SET status = $2::text::ticket_status, version = version + 1, updated_at = now()
         WHERE id = $1
        """,
        ticket_id,
        status,
    )


async def touch(conn: Connection, ticket_id: UUID) -> None:
    """A change that is written elsewhere is a change of the ticket."""
    await conn.execute(
        "UPDATE tickets SET version = version + 1, updated_at = now() WHERE id = $1", ticket_id
    )


async def set_triage(conn: Connection, ticket_id: UUID, decision: Decision, queue_id: UUID | None) -> None:
    """A queue, intent and sentiment that stand already stay; of two priorities the higher one counts."""
    await conn.execute(
        """
        UPDATE tickets
           SET queue_id = coalesce(queue_id, $2), intent = coalesce(intent, $3), language = $4,
               sentiment = coalesce(sentiment, $5),
               priority = greatest(priority, $6::text::ticket_priority), triage = $7,
               tags = tags || ARRAY(SELECT unnest($8::text[]) EXCEPT SELECT unnest(tags)),
               version = version + 1, updated_at = now()
         WHERE id = $1
        """,
        ticket_id,
        queue_id,
        decision.intent,
        decision.language,
        decision.sentiment,
        decision.priority,
        decision.record,
        decision.add_tags,
    )


async def set_assignee(conn: Connection, ticket_id: UUID, user_id: UUID) -> None:
    await conn.execute(
        "UPDATE tickets SET assignee_id = $2, version = version + 1, updated_at = now() WHERE id = $1",
        ticket_id,
        user_id,
    )


async def clear_assignee(conn: Connection, ticket_id: UUID) -> None:
    await conn.execute(
        "UPDATE tickets SET assignee_id = NULL, version = version + 1, updated_at = now() WHERE id = $1",
        ticket_id,
    )


async def is_staff(conn: Connection, user_id: UUID) -> bool:
    """Whether tickets can be given to this person."""
    found = await conn.fetchval(
        "SELECT true FROM users WHERE id = $1 AND active AND role <> 'customer'", user_id
    )
    return bool(found)


async def set_csat(conn: Connection, ticket_id: UUID, customer_id: UUID, draft: CsatDraft) -> Csat:
    updated_at: datetime = await conn.fetchval(
        """
        INSERT INTO ticket_csat (ticket_id, score, comment) VALUES ($1, $2, $3)
        ON CONFLICT (ticket_id) DO UPDATE
           SET score = excluded.score, comment = excluded.comment, updated_at = now()
        RETURNING updated_at
        """,
        ticket_id,
        draft.score,
        await sealed.COMMENT.seal(conn, customer_id, draft.comment),
    )
    return Csat(score=draft.score, comment=draft.comment, updated_at=updated_at)


async def queue_id(conn: Connection, name: str) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT id FROM queues WHERE name = $1", name)
    return found


async def unassigned(conn: Connection, queue_ids: Sequence[UUID], limit: int) -> list[Ticket]:
    """Waiting tickets, longest due first, where an urgent one is due at once and a low one a day later.

    So no ticket is overtaken by those made more than a day after it. Locked, leaving out what others hold.
    """
    rows = await conn.fetch(
        f"""{SELECT}
         WHERE t.queue_id = ANY($1) AND t.assignee_id IS NULL AND t.status IN ('new', 'open')
         ORDER BY waits_as_since(t.created_at, t.priority), t.id
         LIMIT $2
           FOR NO KEY UPDATE OF t SKIP LOCKED
        """,
        list(queue_ids),
        limit,
    )
    return await _tickets(conn, rows)


async def open_counts(conn: Connection, user_ids: Sequence[UUID]) -> dict[UUID, int]:
    rows = await conn.fetch(
        """
        SELECT assignee_id, count(*) AS open FROM tickets
         WHERE assignee_id = ANY($1) AND status NOT IN ('resolved', 'closed')
         GROUP BY assignee_id
        """,
        list(user_ids),
    )
    return {row["assignee_id"]: row["open"] for row in rows}


async def set_words(conn: Connection, texts: Sequence[tuple[UUID, str, str]]) -> None:
    """Let tickets be found by their subjects and bodies."""
    await conn.execute(
        """
        UPDATE tickets t SET search = n.search::tsvector
          FROM unnest($1::uuid[], $2::text[]) AS n (id, search) WHERE t.id = n.id
        """,
        [ticket_id for ticket_id, _, _ in texts],
        [await words.indexed(conn, subject, body) for _, subject, body in texts],
    )


async def forget_words(conn: Connection, customer_id: UUID) -> None:
    """Let a person's tickets be found by no word any more."""
    await conn.execute("UPDATE tickets SET search = '' WHERE customer_id = $1", customer_id)
