"""Every SQL statement about one person's conversations. All they hold is sealed: the key takes it along."""

from uuid import UUID

from app.chat.sealed import COMMENT, CONTENT, TITLE
from app.db import Connection
from app.holdings import EXPIRED, Counts, Holdings, Part, by

CONVERSATIONS = Part(
    "conversations",
    """
    SELECT id, title, ticket_id, triage, created_at, updated_at FROM conversations
     WHERE user_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
    """,
    sealed={"title": TITLE},
)
MESSAGES = Part(
    "conversation-messages",
    """
    SELECT m.id, m.conversation_id, m.author, m.content, m.citations, m.outcome, f.helpful, f.comment,
           m.created_at
      FROM messages m
      JOIN conversations c ON c.id = m.conversation_id
      LEFT JOIN message_feedback f ON f.message_id = m.id
     WHERE c.user_id = $1 AND ($2::uuid IS NULL OR m.id > $2) ORDER BY m.id LIMIT $3
    """,
    sealed={"content": CONTENT, "comment": COMMENT},
)


async def _forget(conn: Connection, person: UUID) -> Counts:
    """What was said goes with the key; triage's reasons may quote it."""
    await conn.execute("UPDATE conversations SET triage = triage - 'reasons' WHERE user_id = $1", person)
    row = await conn.fetchrow(
        """
        SELECT count(DISTINCT c.id) AS conversations, count(m.id) AS conversation_messages
          FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
         WHERE c.user_id = $1
        """,
        person,
    )
    return dict(row or {})


EMPTY = f"""
WITH old AS (
    SELECT id FROM conversations
     WHERE emptied_at IS NULL AND updated_at < now() - make_interval(days => $1)
     ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
), said AS (
    UPDATE messages m SET content = {EXPIRED} FROM old WHERE m.conversation_id = old.id
), thought AS (
    UPDATE message_feedback f SET comment = {EXPIRED}
      FROM messages m JOIN old ON old.id = m.conversation_id WHERE f.message_id = m.id
)
UPDATE conversations c SET title = {EXPIRED}, triage = triage - 'reasons', emptied_at = now()
  FROM old WHERE c.id = old.id RETURNING c.id
"""  # noqa: S608

HOLDINGS = Holdings((CONVERSATIONS, MESSAGES), _forget, {"conversations": by(EMPTY)})
