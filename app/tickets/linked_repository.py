"""Every SQL statement that touches links, merges, attachments and the fields of queues."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.db import Connection
from app.tickets import sealed
from app.vault.service import open_rows


async def links(conn: Connection, ticket_id: UUID) -> list[dict[str, Any]]:
    """Both directions, oldest first."""
    rows = await conn.fetch(
        """
        SELECT l.kind, l.direction, l.created_at, t.id AS ticket_id, t.number, t.subject, t.status::text,
               t.customer_id
          FROM (SELECT kind, 'out' AS direction, created_at, other_id AS named
                  FROM ticket_links WHERE ticket_id = $1
                UNION ALL
                SELECT kind, 'in', created_at, ticket_id FROM ticket_links WHERE other_id = $1) l
          JOIN tickets t ON t.id = l.named
         ORDER BY l.created_at, t.id LIMIT 500
        """,
        ticket_id,
    )
    return await open_rows(conn, rows, {"subject": (sealed.SUBJECT, sealed.MINE)})


async def add_link(conn: Connection, ticket_id: UUID, kind: str, other_id: UUID) -> bool:
    """`False` where it was there."""
    added = await conn.fetchval(
        """
        INSERT INTO ticket_links (ticket_id, kind, other_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        ticket_id,
        kind,
        other_id,
    )
    return bool(added)


async def drop_link(conn: Connection, ticket_id: UUID, kind: str, other_id: UUID) -> bool:
    dropped = await conn.fetchval(
        "DELETE FROM ticket_links WHERE ticket_id = $1 AND kind = $2 AND other_id = $3 RETURNING true",
        ticket_id,
        kind,
        other_id,
    )
    return bool(dropped)


async def move(conn: Connection, ticket_id: UUID, into_id: UUID) -> None:
    """Messages and attachments go over with their ids and times; the merge is noted."""
    await conn.execute("UPDATE ticket_messages SET ticket_id = $2 WHERE ticket_id = $1", ticket_id, into_id)
    await conn.execute(
        "UPDATE ticket_attachments SET ticket_id = $2 WHERE ticket_id = $1", ticket_id, into_id
    )
    await conn.execute("INSERT INTO ticket_merges (ticket_id, into_id) VALUES ($1, $2)", ticket_id, into_id)


ATTACHMENT = """
SELECT f.id, f.ticket_id, f.message_id, f.internal, f.name, f.media_type, f.size_bytes,
       encode(f.sha256, 'hex') AS sha256, f.url, f.created_at, t.customer_id
  FROM ticket_attachments f JOIN tickets t ON t.id = f.ticket_id
"""


async def add_attachment(
    conn: Connection,
    attachment_id: UUID | None,
    ticket_id: UUID,
    customer_id: UUID,
    author_id: UUID,
    fields: dict[str, Any],
) -> UUID:
    texts = {sealed.FILE_NAME: fields["name"], sealed.FILE_URL: fields["url"]}
    added: UUID = await conn.fetchval(
        """
        INSERT INTO ticket_attachments (ticket_id, author_id, message_id, internal, media_type, size_bytes,
                                        sha256, id, name, url)
        VALUES ($1, $2, $3, $4, $5, $6, decode($7, 'hex'), coalesce($8, uuidv7()), $9, $10)
        RETURNING id
        """,
        ticket_id,
        author_id,
        fields["message_id"],
        fields["internal"],
        fields["media_type"],
        fields["size_bytes"],
        fields["sha256"],
        attachment_id,
        *await sealed.seal(conn, customer_id, texts),
    )
    return added


async def attachment(conn: Connection, attachment_id: UUID) -> dict[str, Any]:
    rows = await conn.fetch(f"{ATTACHMENT} WHERE f.id = $1", attachment_id)
    [found] = await open_rows(conn, rows, sealed.OF_ATTACHMENTS)
    return found


async def attachments(conn: Connection, ticket_id: UUID, *, internal: bool) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        f"{ATTACHMENT} WHERE f.ticket_id = $1 AND ($2 OR NOT f.internal) ORDER BY f.id LIMIT 500",
        ticket_id,
        internal,
    )
    return await open_rows(conn, rows, sealed.OF_ATTACHMENTS)


async def message_is_internal(conn: Connection, ticket_id: UUID, message_id: UUID) -> bool | None:
    """`None` where the ticket has no such message."""
    found: bool | None = await conn.fetchval(
        "SELECT internal FROM ticket_messages WHERE ticket_id = $1 AND id = $2", ticket_id, message_id
    )
    return found


async def queue_fields(conn: Connection, queue: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        """
        SELECT f.name, f.kind, f.required, f.choices
          FROM queue_fields f JOIN queues q ON q.id = f.queue_id WHERE q.name = $1 ORDER BY f.place
        """,
        queue,
    )
    return [dict(row) for row in rows]


async def replace_queue_fields(conn: Connection, queue_id: UUID, fields: Sequence[dict[str, Any]]) -> None:
    await conn.execute("DELETE FROM queue_fields WHERE queue_id = $1", queue_id)
    await conn.executemany(
        """
        INSERT INTO queue_fields (queue_id, name, kind, required, choices, place)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        [
            (queue_id, field["name"], field["kind"], field["required"], field["choices"], place)
            for place, field in enumerate(fields)
        ],
    )
