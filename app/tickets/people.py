"""Every SQL statement about one person's tickets: all of what was said in them is their customer's."""

from uuid import UUID

from app.db import Connection
from app.holdings import EXPIRED, Counts, Holdings, Part, by
from app.tickets import desk
from app.tickets.sealed import BODY, COMMENT, CUSTOM, FILE_NAME, FILE_URL, MESSAGE, SUBJECT

ERASER = "system:privacy"

TICKETS = Part(
    "tickets",
    """
    SELECT t.id, t.number, t.subject, t.body, t.status::text, t.priority::text, q.name AS queue, t.intent,
           t.language, t.sentiment, t.tags, t.custom, t.triage, t.created_at, t.updated_at
      FROM tickets t LEFT JOIN queues q ON q.id = t.queue_id
     WHERE t.customer_id = $1 AND ($2::uuid IS NULL OR t.id > $2) ORDER BY t.id LIMIT $3
    """,
    sealed={"subject": SUBJECT, "body": BODY, "custom": CUSTOM},
    as_json=("custom",),
)
MESSAGES = """
SELECT m.id, m.ticket_id, m.author_id, m.author_id = $1 AS own, m.body, m.created_at,
       t.customer_id AS sealed_for
  FROM ticket_messages m JOIN tickets t ON t.id = m.ticket_id
 WHERE {whose} AND ($2::uuid IS NULL OR m.id > $2) ORDER BY m.id LIMIT $3
"""
SAID = Part(
    "ticket-messages",
    MESSAGES.format(whose="t.customer_id = $1 AND NOT m.internal"),
    sealed={"body": MESSAGE},
)
NOTES = Part(
    "ticket-notes",
    MESSAGES.format(whose="t.customer_id = $1 AND m.internal"),
    sealed={"body": MESSAGE},
    internal=True,
)
WRITTEN = Part(
    "written-in-tickets-of-others",
    """
    SELECT m.id, m.ticket_id, m.internal, m.created_at
      FROM ticket_messages m JOIN tickets t ON t.id = m.ticket_id
     WHERE m.author_id = $1 AND t.customer_id <> $1 AND ($2::uuid IS NULL OR m.id > $2)
     ORDER BY m.id LIMIT $3
    """,
)
"""Without their texts: those are about somebody else."""

RATINGS = Part(
    "ratings",
    """
    SELECT s.ticket_id AS id, s.score, s.comment, s.updated_at
      FROM ticket_csat s JOIN tickets t ON t.id = s.ticket_id
     WHERE t.customer_id = $1 AND ($2::uuid IS NULL OR s.ticket_id > $2) ORDER BY s.ticket_id LIMIT $3
    """,
    sealed={"comment": COMMENT},
)
FILES = """
SELECT a.id, a.ticket_id, a.name, a.media_type, a.size_bytes, encode(a.sha256, 'hex') AS sha256, a.url,
       a.created_at
  FROM ticket_attachments a JOIN tickets t ON t.id = a.ticket_id
 WHERE t.customer_id = $1 AND {which} AND ($2::uuid IS NULL OR a.id > $2) ORDER BY a.id LIMIT $3
"""
ATTACHMENTS = Part(
    "attachments", FILES.format(which="NOT a.internal"), sealed={"name": FILE_NAME, "url": FILE_URL}
)
INTERNAL_ATTACHMENTS = Part(
    "internal-attachments",
    FILES.format(which="a.internal"),
    sealed={"name": FILE_NAME, "url": FILE_URL},
    internal=True,
)
HISTORY = Part(
    "ticket-history",
    """
    SELECT e.id, e.ticket_id, e.actor, e.kind, e.data, e.created_at
      FROM ticket_events e JOIN tickets t ON t.id = e.ticket_id
     WHERE t.customer_id = $1 AND ($2::uuid IS NULL OR e.id > $2) ORDER BY e.id LIMIT $3
    """,
    internal=True,
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    """Open tickets are closed. Numbers, times, labels and scores stay, for the figures; texts are sealed."""
    closed = await _close(conn, person)
    tickets = await conn.fetch(
        """
        UPDATE tickets SET tags = '{}', search = '', triage = triage - 'reasons', version = version + 1
         WHERE customer_id = $1 RETURNING id
        """,
        person,
    )
    ids = [row["id"] for row in tickets]
    messages = await conn.fetchval("SELECT count(*) FROM ticket_messages WHERE ticket_id = ANY($1)", ids)
    files = await conn.fetch(
        """
        UPDATE ticket_attachments SET sha256 = decode(repeat('00', 32), 'hex')
         WHERE ticket_id = ANY($1) RETURNING id
        """,
        ids,
    )
    keys = await conn.fetch("DELETE FROM idempotency_keys WHERE user_id = $1 RETURNING key", person)
    handed_back = await _hand_back(conn, person)
    return {
        "tickets": len(ids),
        "tickets_closed": closed,
        "ticket_messages": messages,
        "attachments": len(files),
        "idempotency_keys": len(keys),
        "tickets_handed_back": handed_back,
    }


async def _close(conn: Connection, person: UUID) -> int:
    rows = await conn.fetch(
        "SELECT id FROM tickets WHERE customer_id = $1 AND status <> 'closed' ORDER BY id", person
    )
    for row in rows:
        await desk.close(conn, row["id"], ERASER)
    return len(rows)


async def _hand_back(conn: Connection, person: UUID) -> int:
    """Of somebody who worked at the desk: what they had to do, others get."""
    rows = await conn.fetch(
        """
        SELECT id FROM tickets WHERE assignee_id = $1 AND status NOT IN ('resolved', 'closed') ORDER BY id
        """,
        person,
    )
    for row in rows:
        await desk.take_away(conn, row["id"], ERASER)
    return len(rows)


EMPTY = f"""
WITH old AS (
    SELECT id FROM tickets
     WHERE emptied_at IS NULL AND status = 'closed' AND updated_at < now() - make_interval(days => $1)
     ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
), said AS (
    UPDATE ticket_messages m SET body = {EXPIRED} FROM old WHERE m.ticket_id = old.id
), rated AS (
    UPDATE ticket_csat s SET comment = {EXPIRED} FROM old WHERE s.ticket_id = old.id
), attached AS (
    UPDATE ticket_attachments a SET name = {EXPIRED}, url = NULL, sha256 = decode(repeat('00', 32), 'hex')
      FROM old WHERE a.ticket_id = old.id
), taught AS (
    DELETE FROM triage_examples e USING old WHERE e.ticket_id = old.id
)
UPDATE tickets t
   SET subject = {EXPIRED}, body = {EXPIRED}, custom = '\\x007b7d', search = '', tags = '{{}}',
       triage = triage - 'reasons', emptied_at = now()
  FROM old WHERE t.id = old.id RETURNING t.id
"""  # noqa: S608

PARTS = (TICKETS, SAID, NOTES, WRITTEN, RATINGS, ATTACHMENTS, INTERNAL_ATTACHMENTS, HISTORY)
HOLDINGS = Holdings(PARTS, _forget, {"ticket_texts": by(EMPTY)})
