"""Every SQL statement that touches what was said in tickets, and what happened to them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from app.db import Connection
from app.tickets import sealed
from app.tickets.schemas import Event, Message, Person
from app.vault.service import open_rows

MESSAGE = """
SELECT m.id, m.ticket_id, m.internal, m.body, m.created_at, m.author_id, u.name AS author_name, t.customer_id
  FROM ticket_messages m
  JOIN users u ON u.id = m.author_id
  JOIN tickets t ON t.id = m.ticket_id
"""


async def add_message(
    conn: Connection,
    ticket_id: UUID,
    customer_id: UUID,
    author_id: UUID,
    body: str,
    internal: bool,
    *,
    message_id: UUID | None = None,
) -> UUID:
    """What is said in a ticket is its customer's, whoever says it."""
    added: UUID = await conn.fetchval(
        """
        INSERT INTO ticket_messages (id, ticket_id, author_id, body, internal)
        VALUES (coalesce($5, uuidv7()), $1, $2, $3, $4)
        RETURNING id
        """,
        ticket_id,
        author_id,
        await sealed.MESSAGE.seal(conn, customer_id, body),
        internal,
        message_id,
    )
    return added


async def messages(
    conn: Connection, ticket_id: UUID, *, internal: bool, after: UUID | None, limit: int
) -> list[Message]:
    """Oldest first; internal notes only where asked for."""
    rows = await conn.fetch(
        f"""{MESSAGE}
         WHERE m.ticket_id = $1 AND ($2 OR NOT m.internal) AND ($3::uuid IS NULL OR m.id > $3)
         ORDER BY m.id LIMIT $4
        """,
        ticket_id,
        internal,
        after,
        limit,
    )
    return await _messages(conn, rows)


async def message(conn: Connection, message_id: UUID) -> Message:
    rows = await conn.fetch(f"{MESSAGE} WHERE m.id = $1", message_id)
    if not rows:
        raise LookupError(f"message {message_id} is gone")
    [found] = await _messages(conn, rows)
    return found


async def _messages(conn: Connection, rows: "Sequence[asyncpg.Record]") -> list[Message]:
    found = await open_rows(conn, rows, sealed.OF_MESSAGES)
    return [_message(fields) for fields in found]


def _message(fields: dict[str, Any]) -> Message:
    del fields["customer_id"]
    author = Person(id=fields.pop("author_id"), name=fields.pop("author_name"))
    return Message(**fields, author=author)


async def add_event(conn: Connection, ticket_id: UUID, actor: str, kind: str, data: dict[str, Any]) -> UUID:
    added: UUID = await conn.fetchval(
        "INSERT INTO ticket_events (ticket_id, actor, kind, data) VALUES ($1, $2, $3, $4) RETURNING id",
        ticket_id,
        actor,
        kind,
        data,
    )
    return added


async def events(
    conn: Connection, ticket_id: UUID, kinds: Sequence[str] | None, after: UUID | None, limit: int
) -> list[Event]:
    """Oldest first; `kinds` limits them to those."""
    rows = await conn.fetch(
        """
        SELECT id, ticket_id, actor, kind, data, created_at FROM ticket_events
         WHERE ticket_id = $1 AND ($2::text[] IS NULL OR kind = ANY($2)) AND ($3::uuid IS NULL OR id > $3)
         ORDER BY id LIMIT $4
        """,
        ticket_id,
        kinds,
        after,
        limit,
    )
    return [Event(**row) for row in rows]
