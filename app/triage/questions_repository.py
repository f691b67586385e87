"""Every SQL statement that touches announced labels and what an LLM was asked."""

from collections.abc import Sequence
from uuid import UUID

from app.db import Connection
from app.triage.schemas import LabelDraft, NewLabel
from models.triage.asking import Answer, Option

DAY_LOCK = 0x74_7261_6461
"""One count of the day's questions at a time."""


async def labels(conn: Connection) -> list[NewLabel]:
    rows = await conn.fetch(
        "SELECT name, description, queue, created_by, created_at FROM triage_labels ORDER BY name"
    )
    return [NewLabel(**row) for row in rows]


async def put_label(conn: Connection, name: str, draft: LabelDraft, by: str) -> NewLabel:
    row = await conn.fetchrow(
        """
        INSERT INTO triage_labels (name, description, queue, created_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET description = excluded.description, queue = excluded.queue
        RETURNING name, description, queue, created_by, created_at
        """,
        name,
        draft.description,
        draft.queue,
        by,
    )
    if row is None:
        raise AssertionError("INSERT ... RETURNING has a row")
    return NewLabel(**row)


async def drop_label(conn: Connection, name: str) -> bool:
    """`False` where there was none."""
    return bool(await conn.fetchval("DELETE FROM triage_labels WHERE name = $1 RETURNING true", name))


async def unlearnt(conn: Connection, version_id: UUID, few: int, limit: int) -> list[Option]:
    """Labels of which this version had fewer than `few` examples, those named last first.

    They were announced, or people gave them, or they stand in what was learnt from. A version of which it
    was not written down what it had is not known to lack anything.
    """
    rows = await conn.fetch(
        """
        WITH known AS (
            SELECT key AS name, value::integer AS examples
              FROM triage_versions v, jsonb_each_text(v.label_counts) WHERE v.id = $1
        ), given AS (
            SELECT coalesce(intent, queue) AS name, mode() WITHIN GROUP (ORDER BY queue) AS queue,
                   max(updated_at) AS at
              FROM triage_examples WHERE coalesce(intent, queue) IS NOT NULL GROUP BY 1
        )
        SELECT name, coalesce(l.description, '') AS description, coalesce(l.queue, g.queue) AS queue
          FROM triage_labels l FULL JOIN given g USING (name) FULL JOIN known k USING (name)
         WHERE coalesce(k.examples, 0) < $2
           AND EXISTS (SELECT 1 FROM triage_versions v WHERE v.id = $1 AND v.label_counts IS NOT NULL)
         ORDER BY greatest(l.created_at, g.at) DESC NULLS LAST, name LIMIT $3
        """,
        version_id,
        few,
        limit,
    )
    return [Option(row["name"], row["description"], row["queue"]) for row in rows]


async def add_question(conn: Connection, ticket_id: UUID, version_id: UUID, per_day: int) -> bool:
    """`False` where the day's questions are spent, or this ticket was asked about before."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", DAY_LOCK)
    made = await conn.fetchval(
        """
        INSERT INTO triage_questions (ticket_id, version_id)
        SELECT $1, id FROM triage_versions
         WHERE id = $2
           AND (SELECT count(*) FROM triage_questions WHERE asked_at >= date_trunc('day', now(), 'UTC')) < $3
        ON CONFLICT (ticket_id) DO NOTHING RETURNING true
        """,
        ticket_id,
        version_id,
        per_day,
    )
    return bool(made)


async def version_asked_for(conn: Connection, ticket_id: UUID) -> UUID | None:
    """The version that did not know; `None` where nothing is asked, or it was answered."""
    found: UUID | None = await conn.fetchval(
        "SELECT version_id FROM triage_questions WHERE ticket_id = $1 AND outcome = 'asked'", ticket_id
    )
    return found


async def set_answer(conn: Connection, ticket_id: UUID, answer: Answer, *, decided: bool) -> None:
    await conn.execute(
        """
        UPDATE triage_questions
           SET outcome = $2, label = $3, decided = $4, model = $5, provider = $6, prompt_tokens = $7,
               completion_tokens = $8, cost_usd = $9, seconds = $10
         WHERE ticket_id = $1
        """,
        ticket_id,
        answer.outcome,
        answer.label,
        decided,
        answer.model,
        answer.provider,
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.cost_usd,
        answer.seconds,
    )


async def record_of(conn: Connection, model: str) -> tuple[int, int]:
    """Of this model's labels that people judged: how many they let stand, and how many there are.

    People judge by giving an intent, or by ending a ticket that has the one that the model gave.
    """
    row = await conn.fetchrow(
        """
        SELECT count(*) FILTER (WHERE q.label = coalesce(e.intent, t.intent)) AS good, count(*) AS judged
          FROM triage_questions q
          JOIN tickets t ON t.id = q.ticket_id
          LEFT JOIN triage_examples e ON e.ticket_id = q.ticket_id AND e.intent IS NOT NULL
         WHERE q.model = $1 AND q.label IS NOT NULL
           AND (e.updated_at > q.asked_at OR (q.decided AND t.status IN ('resolved', 'closed')))
        """,
        model,
    )
    return (row["good"], row["judged"]) if row else (0, 0)


async def names_of_queues(conn: Connection, names: Sequence[str]) -> set[str]:
    """Which of the names are queues."""
    rows = await conn.fetch("SELECT name FROM queues WHERE name = ANY($1)", list(names))
    return {row["name"] for row in rows}
