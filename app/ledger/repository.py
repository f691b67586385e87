"""Every SQL statement that touches the ledger. Nothing here changes an entry.

Whoever writes holds the inquiry's conversation or ticket locked: that is what orders its entries. Moments are
those of the statement, not of the transaction, so that an entry that waited for a lock is recorded after.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from app.db import Connection
from app.ledger.schemas import Conversation, Draft, Entry, Labels, Now, Standing, Subject

STATES = "('opened', 'resolved_by_assistant', 'resolved_by_agent', 'abandoned', 'reopened', 'merged')"


async def moment(conn: Connection) -> datetime:
    """The database's time, now."""
    at: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return at


async def now_of(conn: Connection, inquiry_id: UUID) -> Now | None:
    row = await conn.fetchrow(
        f"""
        SELECT id, kind AS state, reason, valid_at, recorded_at FROM ledger_entries
         WHERE inquiry_id = $1 AND kind IN {STATES} ORDER BY seq DESC LIMIT 1
        """,  # noqa: S608
        inquiry_id,
    )
    return Now(**row) if row else None


async def labels_of(conn: Connection, inquiry_id: UUID) -> Labels:
    row = await conn.fetchrow(
        """
        SELECT queue, intent, language FROM ledger_entries
         WHERE inquiry_id = $1 ORDER BY seq DESC LIMIT 1
        """,
        inquiry_id,
    )
    return Labels(**row) if row else Labels()


async def add(
    conn: Connection,
    inquiry_id: UUID,
    drafts: Sequence[Draft],
    labels: Labels,
    *,
    ticket_id: UUID | None = None,
    now: datetime | None = None,
) -> None:
    """Write entries, in their order; `now` is when they are learnt, by default this moment."""
    for draft in drafts:
        await conn.execute(
            """
            WITH moment AS MATERIALIZED (SELECT coalesce($1, clock_timestamp()) AS at)
            INSERT INTO ledger_entries (inquiry_id, ticket_id, kind, reason, valid_at, recorded_at, revokes,
                                        queue, intent, language, agent_id, value)
            SELECT $2, $3, $4, $5, least(coalesce($6, at), at), at, $7, $8, $9, $10, $11, $12 FROM moment
            """,
            now,
            inquiry_id,
            ticket_id,
            draft.kind,
            draft.reason,
            draft.valid_at,
            draft.revokes,
            labels.queue,
            labels.intent,
            labels.language,
            draft.agent_id,
            draft.value,
        )


async def entries(conn: Connection, inquiry_id: UUID) -> list[Entry]:
    """Oldest first; also of the conversation that a ticket of this id came from."""
    rows = await conn.fetch(
        """
        SELECT id, kind, reason, valid_at, recorded_at, revokes, ticket_id, queue, intent, language,
               agent_id, value
          FROM ledger_entries
         WHERE inquiry_id = coalesce(
               (SELECT inquiry_id FROM ledger_entries WHERE ticket_id = $1 ORDER BY seq LIMIT 1), $1)
         ORDER BY seq
        """,
        inquiry_id,
    )
    return [Entry(**row) for row in rows]


async def watch(
    conn: Connection,
    inquiry_id: UUID,
    standing: Standing,
    silence: timedelta | None,
    *,
    answer_id: UUID | None = None,
    tokens: int | None = None,
    cost_usd: float = 0.0,
) -> None:
    """Note where a conversation stands, and that it is over after `silence`; of an answer also its cost.

    A conversation that was handed over stays so.
    """
    await conn.execute(
        """
        WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS at)
        INSERT INTO ledger_conversations AS known
               (inquiry_id, standing, answer_id, since, due_at, answers, tokens, cost_usd)
        SELECT $1, $2, $3, at, at + $4::interval, ($5::int IS NOT NULL)::int, coalesce($5, 0), $6 FROM moment
        ON CONFLICT (inquiry_id) DO UPDATE
           SET standing = CASE known.standing WHEN 'handed_over' THEN known.standing
                                              ELSE excluded.standing END,
               due_at = CASE known.standing WHEN 'handed_over' THEN NULL ELSE excluded.due_at END,
               answer_id = coalesce(excluded.answer_id, known.answer_id), since = excluded.since,
               answers = known.answers + excluded.answers, tokens = known.tokens + excluded.tokens,
               cost_usd = known.cost_usd + excluded.cost_usd
        """,
        inquiry_id,
        standing,
        answer_id,
        silence,
        tokens,
        cost_usd,
    )


async def conversation(conn: Connection, inquiry_id: UUID) -> Conversation | None:
    row = await conn.fetchrow(
        "SELECT inquiry_id, standing, answer_id, since FROM ledger_conversations WHERE inquiry_id = $1",
        inquiry_id,
    )
    return Conversation(**row) if row else None


async def silent(conn: Connection, now: datetime | None, limit: int) -> list[UUID]:
    """Conversations whose silence has lasted by `now` (null: the database's), longest first."""
    rows = await conn.fetch(
        """
        SELECT inquiry_id FROM ledger_conversations
         WHERE due_at <= coalesce($1, clock_timestamp()) ORDER BY due_at, inquiry_id LIMIT $2
        """,
        now,
        limit,
    )
    return [row["inquiry_id"] for row in rows]


async def settled(conn: Connection, inquiry_ids: Sequence[UUID], now: datetime | None) -> list[Conversation]:
    """Those of them that are still silent; they are waited for no longer."""
    rows = await conn.fetch(
        """
        UPDATE ledger_conversations SET due_at = NULL
         WHERE inquiry_id = ANY ($1) AND due_at <= coalesce($2, clock_timestamp())
        RETURNING inquiry_id, standing, answer_id, since
        """,
        list(inquiry_ids),
        now,
    )
    return [Conversation(**row) for row in rows]


async def subject(conn: Connection, ticket_id: UUID) -> Subject | None:
    """A ticket, its first public reply, its last move, and its inquiry's newest entries."""
    row = await conn.fetchrow(
        f"""
        SELECT coalesce(i.inquiry_id, t.id) AS inquiry_id, t.status::text, t.created_at, t.assignee_id,
               coalesce(q.name, latest.queue) AS queue, coalesce(t.intent, latest.intent) AS intent,
               coalesce(t.language, latest.language) AS language, s.score,
               reply.author_id, reply.created_at AS replied_at,
               EXISTS (SELECT FROM ticket_merges g WHERE g.ticket_id = t.id) AS merged,
               coalesce(move.actor = 'user:' || t.customer_id, false) AS by_customer,
               move.data ->> 'from' AS was,
               latest.queue AS known_queue, latest.intent AS known_intent, latest.language AS known_language,
               EXISTS (SELECT FROM ledger_entries e
                        WHERE e.inquiry_id = coalesce(i.inquiry_id, t.id) AND e.kind = 'replied') AS replied,
               (SELECT e.value FROM ledger_entries e
                 WHERE e.inquiry_id = coalesce(i.inquiry_id, t.id) AND e.kind = 'rated'
                 ORDER BY e.seq DESC LIMIT 1) AS rated,
               state.id, state.kind, state.reason, state.valid_at, state.recorded_at
          FROM tickets t
          LEFT JOIN queues q ON q.id = t.queue_id
          LEFT JOIN ticket_csat s ON s.ticket_id = t.id
          LEFT JOIN LATERAL (SELECT e.inquiry_id FROM ledger_entries e
                              WHERE e.ticket_id = t.id ORDER BY e.seq LIMIT 1) i ON true
          LEFT JOIN LATERAL (SELECT e.* FROM ledger_entries e
                              WHERE e.inquiry_id = coalesce(i.inquiry_id, t.id)
                              ORDER BY e.seq DESC LIMIT 1) latest ON true
          LEFT JOIN LATERAL (SELECT e.* FROM ledger_entries e
                              WHERE e.inquiry_id = coalesce(i.inquiry_id, t.id) AND e.kind IN {STATES}
                              ORDER BY e.seq DESC LIMIT 1) state ON true
          LEFT JOIN LATERAL (SELECT m.author_id, m.created_at FROM ticket_messages m
                              WHERE m.ticket_id = t.id AND NOT m.internal AND m.author_id <> t.customer_id
                                AND m.created_at >= t.created_at
                              ORDER BY m.id LIMIT 1) reply ON true
          LEFT JOIN LATERAL (SELECT e.actor, e.data FROM ticket_events e
                              WHERE e.ticket_id = t.id AND e.kind = 'status_changed'
                              ORDER BY e.id DESC LIMIT 1) move ON true
         WHERE t.id = $1
        """,  # noqa: S608
        ticket_id,
    )
    if row is None:
        return None
    state = (row["id"], row["kind"], row["reason"], row["valid_at"], row["recorded_at"])
    return Subject(
        inquiry_id=row["inquiry_id"],
        now=Now(*state) if row["id"] else None,
        known=Labels(row["known_queue"], row["known_intent"], row["known_language"]),
        replied=row["replied"],
        rated=row["rated"],
        status=row["status"],
        merged=row["merged"],
        labels=Labels(row["queue"], row["intent"], row["language"]),
        created_at=row["created_at"],
        replied_at=row["replied_at"],
        replier_id=row["author_id"],
        assignee_id=row["assignee_id"],
        moved_by_customer=row["by_customer"],
        moved_from=row["was"],
        score=row["score"],
    )
