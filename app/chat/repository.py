"""Every SQL statement that touches conversations, and their messages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.chat.schemas import Conversation, Message
from app.db import Connection

CONVERSATION = "id, title, ticket_id, created_at, updated_at"
MESSAGE = "id, author, content, citations, outcome, sources, created_at"


async def add(conn: Connection, user_id: UUID, title: str) -> Conversation:
    row = await conn.fetchrow(
        f"INSERT INTO conversations (user_id, title) VALUES ($1, $2) RETURNING {CONVERSATION}",  # noqa: S608
        user_id,
        title,
    )
    assert row  # noqa: S101
    return Conversation(**row)


async def get(conn: Connection, conversation_id: UUID) -> tuple[Conversation, UUID] | None:
    """The conversation and whose it is."""
    row = await conn.fetchrow(
        f"SELECT {CONVERSATION}, user_id FROM conversations WHERE id = $1",  # noqa: S608
        conversation_id,
    )
    return (Conversation(**row), row["user_id"]) if row else None


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
    return [Conversation(**row) for row in rows]


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
    added: UUID = await conn.fetchval(
        """
        WITH touched AS (UPDATE conversations SET updated_at = now() WHERE id = $1)
        INSERT INTO messages (id, conversation_id, author, content, citations, outcome, sources)
        VALUES (coalesce($2, uuidv7()), $1, $3, $4, $5, $6, $7)
        RETURNING id
        """,
        conversation_id,
        message_id,
        author,
        content,
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
        SELECT {MESSAGE} FROM messages
         WHERE conversation_id = $1 AND ($2::uuid IS NULL OR id > $2)
         ORDER BY id LIMIT $3
        """,  # noqa: S608
        conversation_id,
        after,
        limit,
    )
    return [Message(**row) for row in rows]


async def last_messages(conn: Connection, conversation_id: UUID, limit: int) -> list[Message]:
    """The newest `limit` messages, oldest first."""
    rows = await conn.fetch(
        f"SELECT {MESSAGE} FROM messages WHERE conversation_id = $1 ORDER BY id DESC LIMIT $2",  # noqa: S608
        conversation_id,
        limit,
    )
    return [Message(**row) for row in reversed(rows)]


async def said_before(conn: Connection, message_id: UUID, limit: int) -> list[Message]:
    """The newest `limit` messages of its conversation before this one, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT {MESSAGE} FROM messages
         WHERE id < $1 AND conversation_id = (SELECT conversation_id FROM messages WHERE id = $1)
         ORDER BY id DESC LIMIT $2
        """,  # noqa: S608
        message_id,
        limit,
    )
    return [Message(**row) for row in reversed(rows)]


async def set_feedback(
    conn: Connection, conversation_id: UUID, message_id: UUID, helpful: bool, comment: str
) -> bool:
    """Whether there is such an answer in the conversation; a second verdict replaces the first."""
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
        comment,
    )
    return done == "INSERT 0 1"


async def is_owner(conn: Connection, conversation_id: UUID, user_id: UUID) -> bool:
    return bool(
        await conn.fetchval("SELECT user_id = $2 FROM conversations WHERE id = $1", conversation_id, user_id)
    )


async def asked_before(conn: Connection, conversation_id: UUID, message_id: UUID, limit: int) -> list[str]:
    """The newest `limit` things the customer said before this message, oldest first."""
    rows = await conn.fetch(
        """
        SELECT content FROM messages
         WHERE conversation_id = $1 AND id < $2 AND author = 'customer'
         ORDER BY id DESC LIMIT $3
        """,
        conversation_id,
        message_id,
        limit,
    )
    return [row["content"] for row in reversed(rows)]


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
