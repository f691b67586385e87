"""Every SQL statement that touches conversations, and their messages. What is said is sealed (`sealed`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import JsonValue

from app.chat.schemas import Conversation, Message
from app.chat.sealed import COMMENT, CONTENT, TITLE
from app.db import Connection
from app.vault import service as vault

CONVERSATION = "id, user_id, title, ticket_id, triage, created_at, updated_at"
MESSAGE = """
m.id, m.author, m.content, m.citations, m.outcome, m.sources, m.created_at, c.user_id
  FROM messages m JOIN conversations c ON c.id = m.conversation_id
"""


@dataclass(frozen=True, slots=True)
class Owned:
    """A conversation and whose it is."""

    conversation: Conversation
    user_id: UUID


async def add(conn: Connection, user_id: UUID, title: str) -> Conversation:
    row = await conn.fetchrow(
        f"INSERT INTO conversations (user_id, title) VALUES ($1, $2) RETURNING {CONVERSATION}",  # noqa: S608
        user_id,
        await TITLE.seal(conn, user_id, title),
    )
    assert row  # noqa: S101
    return Conversation(**{**row, "title": title})


async def get(conn: Connection, conversation_id: UUID) -> Owned | None:
    row = await conn.fetchrow(
        f"SELECT {CONVERSATION} FROM conversations WHERE id = $1",  # noqa: S608
        conversation_id,
    )
    if row is None:
        return None
    [conversation] = await _conversations(conn, [row])
    return Owned(conversation, row["user_id"])


async def lock(conn: Connection, conversation_id: UUID) -> None:
    """Let it stay as it is until this transaction ends."""
    await conn.execute("SELECT FROM conversations WHERE id = $1 FOR NO KEY UPDATE", conversation_id)


async def lock_free(conn: Connection, conversation_ids: Sequence[UUID]) -> list[UUID]:
    """Lock those of the conversations that nobody holds; which they are, and which of them are gone."""
    rows = await conn.fetch(
        """
        WITH free AS MATERIALIZED (
            SELECT id FROM conversations WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT id FROM free
        UNION ALL
        SELECT id FROM unnest($1::uuid[]) AS wanted (id)
         WHERE NOT EXISTS (SELECT FROM conversations c WHERE c.id = wanted.id)
        """,
        list(conversation_ids),
    )
    return [row["id"] for row in rows]


async def page(conn: Connection, user_id: UUID, before: UUID | None, limit: int) -> list[Conversation]:
    rows = await conn.fetch(
        f"""
        SELECT {CONVERSATION} FROM conversations
         WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3
        """,  # noqa: S608
        user_id,
        before,
        limit,
    )
    return await _conversations(conn, rows)


async def _conversations(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[Conversation]:
    opened = await vault.open_rows(conn, rows, {"title": (TITLE, "user_id")})
    return [Conversation(**row) for row in opened]


async def add_message(
    conn: Connection,
    conversation_id: UUID,
    author: str,
    content: str,
    *,
    message_id: UUID | None = None,
    citations: Sequence[dict[str, Any]] = (),
    sources: Sequence[UUID] = (),
    outcome: str | None = None,
) -> UUID:
    owner = await conn.fetchval("SELECT user_id FROM conversations WHERE id = $1", conversation_id)
    added: UUID = await conn.fetchval(
        """
        WITH touched AS (UPDATE conversations SET updated_at = now(), emptied_at = NULL WHERE id = $1)
        INSERT INTO messages (id, conversation_id, author, content, citations, outcome, sources)
        VALUES (coalesce($2, uuidv7()), $1, $3, $4, $5, $6, $7)
        RETURNING id
        """,
        conversation_id,
        message_id,
        author,
        await CONTENT.seal(conn, owner, content),
        list(citations),
        outcome,
        list(sources),
    )
    return added


async def next_id(conn: Connection) -> UUID:
    """An id later than all before it, and earlier than those to come."""
    made: UUID = await conn.fetchval("SELECT uuidv7()")
    return made


async def messages(conn: Connection, conversation_id: UUID, after: UUID | None, limit: int) -> list[Message]:
    rows = await conn.fetch(
        f"""
        SELECT {MESSAGE}
         WHERE m.conversation_id = $1 AND ($2::uuid IS NULL OR m.id > $2)
         ORDER BY m.id LIMIT $3
        """,
        conversation_id,
        after,
        limit,
    )
    return await _messages(conn, rows)


async def last_messages(conn: Connection, conversation_id: UUID, limit: int) -> list[Message]:
    """The newest `limit` messages, oldest first."""
    rows = await conn.fetch(
        f"SELECT {MESSAGE} WHERE m.conversation_id = $1 ORDER BY m.id DESC LIMIT $2",
        conversation_id,
        limit,
    )
    return await _messages(conn, rows[::-1])


async def said_before(conn: Connection, message_id: UUID, limit: int) -> list[Message]:
    """The newest `limit` messages of its conversation before this one, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT {MESSAGE}
         WHERE m.id < $1 AND m.conversation_id = (SELECT conversation_id FROM messages WHERE id = $1)
         ORDER BY m.id DESC LIMIT $2
        """,  # noqa: S608
        message_id,
        limit,
    )
    return await _messages(conn, rows[::-1])


async def _messages(conn: Connection, rows: Sequence["asyncpg.Record"]) -> list[Message]:
    opened = await vault.open_rows(conn, rows, {"content": (CONTENT, "user_id")})
    return [Message(**row) for row in opened]


async def set_feedback(
    conn: Connection, conversation_id: UUID, message_id: UUID, helpful: bool, comment: str
) -> bool:
    """Whether there is such an answer in the conversation; a second verdict replaces the first."""
    owner = await conn.fetchval("SELECT user_id FROM conversations WHERE id = $1", conversation_id)
    done = await conn.execute(
        """
        INSERT INTO message_feedback (message_id, helpful, comment)
        SELECT id, $3, $4 FROM messages
         WHERE id = $2 AND conversation_id = $1 AND author = 'assistant'
        ON CONFLICT (message_id) DO UPDATE SET helpful = excluded.helpful, comment = excluded.comment,
                                               created_at = now()
        """,
        conversation_id,
        message_id,
        helpful,
        await COMMENT.seal(conn, owner, comment),
    )
    return done == "INSERT 0 1"


async def set_triage(conn: Connection, conversation_id: UUID, record: dict[str, JsonValue]) -> None:
    await conn.execute("UPDATE conversations SET triage = $2 WHERE id = $1", conversation_id, record)


async def comments(conn: Connection, message_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What readers said of these answers, where they judged them."""
    rows = await conn.fetch(
        """
        SELECT f.message_id, f.comment, c.user_id
          FROM message_feedback f
          JOIN messages m ON m.id = f.message_id
          JOIN conversations c ON c.id = m.conversation_id
         WHERE f.message_id = ANY($1)
        """,
        list(message_ids),
    )
    opened = await vault.open_rows(conn, rows, {"comment": (COMMENT, "user_id")})
    return {row["message_id"]: row["comment"] for row in opened}


async def asked_before(conn: Connection, conversation_id: UUID, message_id: UUID, limit: int) -> list[str]:
    """The newest `limit` things the customer said before this message, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT {MESSAGE}
         WHERE m.conversation_id = $1 AND m.id < $2 AND m.author = 'customer'
         ORDER BY m.id DESC LIMIT $3
        """,
        conversation_id,
        message_id,
        limit,
    )
    return [message.content for message in await _messages(conn, rows[::-1])]


async def is_owner(conn: Connection, conversation_id: UUID, user_id: UUID) -> bool:
    return bool(
        await conn.fetchval("SELECT user_id = $2 FROM conversations WHERE id = $1", conversation_id, user_id)
    )


async def cited(conn: Connection, message_id: UUID) -> list[UUID]:
    """The articles that this answer cites, each once."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT (cited->>'article_id')::uuid AS article_id
          FROM messages, jsonb_array_elements(citations) AS cited
         WHERE id = $1
        """,
        message_id,
    )
    return [row["article_id"] for row in rows]


async def link_ticket(conn: Connection, conversation_id: UUID, ticket_id: UUID) -> None:
    await conn.execute("UPDATE conversations SET ticket_id = $2 WHERE id = $1", conversation_id, ticket_id)
