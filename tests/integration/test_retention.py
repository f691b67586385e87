"""What has been kept for long enough is emptied, by each rule alone; what is younger stays."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app import db
from app.chat import repository as chat
from app.jobs.runner import OnceEffect
from app.jobs.schemas import Job
from app.llm import service as llm
from app.privacy import retention
from app.tickets import service as tickets
from app.tickets.schemas import MessageDraft
from app.usage import repository as usage
from app.usage.schemas import Use
from config.profile import RetentionSettings
from tests import factories

OFF = RetentionSettings(**dict.fromkeys(retention.RULES, None))  # type: ignore[arg-type]
RECORD = {
    "attempts": [],
    "prompt_version": "1",
    "outcome": "answered",
    "passages": [],
    "latency_ms": {},
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    "cost_usd": 0.5,
}


@pytest.fixture
async def old(conn: db.Connection) -> UUID:
    """Somebody whose things are all a hundred days old."""
    who = await factories.person(conn)
    talk = await chat.add(conn, who.id, "Sync")
    question = await chat.add_message(conn, talk.id, "customer", "How do I merge?")
    assert question
    await llm.keep_answer(conn, who, None, "How do I merge?", "Choose Compare.", RECORD)
    ticket = await factories.ticket(conn, who, subject="Old lamp", body="It blinks")
    await tickets.add_message(conn, who, ticket.id, MessageDraft(body="Still blinking"))
    await tickets.transition(conn, who, ticket.id, "closed")
    call = Use(who.id, "m", "m", "p", "answered", False, [], 1, 1, False, 0.1, None, 1.0, datetime.now(UTC))
    await usage.add(conn, [call])
    await conn.execute("INSERT INTO refresh_families (user_id) VALUES ($1)", who.id)
    for table, column in (
        ("conversations", "updated_at"),
        ("ai_responses", "created_at"),
        ("tickets", "updated_at"),
        ("llm_calls", "created_at"),
        ("refresh_families", "created_at"),
    ):
        await conn.execute(f"UPDATE {table} SET {column} = now() - interval '100 days'")
    return who.id


async def kept(pool: db.Pool, settings: RetentionSettings) -> dict[str, object]:
    """What is left of it once the job has run."""
    async with pool.acquire() as conn:
        job_id = await conn.fetchval("INSERT INTO jobs (kind) VALUES ('keep_retention') RETURNING id")
        job = Job(**await conn.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id))
    await retention.handlers(pool, settings)["keep_retention"](job, OnceEffect(pool, job))
    async with pool.acquire() as conn:
        [talk] = [UUID(str(row["id"])) for row in await conn.fetch("SELECT id FROM conversations")]
        [answer] = await llm.kept_answers(conn, None, 10, outcome=None, helpful=None)
        staff = await factories.person(conn, "agent")
        [ticket], _ = await tickets.page(conn, staff, tickets.Filters(), None, 10)
        [said], _ = await tickets.messages(conn, staff, ticket.id, None, 10)
        return {
            "conversations": (await chat.messages(conn, talk, None, 10))[0].content,
            "kept_answers": (answer.question, answer.prompt_tokens, answer.cost_usd),
            "ticket_texts": (ticket.subject, ticket.body, said.body, ticket.number > 0),
            "model_calls": await conn.fetchval("SELECT user_id IS NULL FROM llm_calls"),
            "logins": await conn.fetchval("SELECT count(*) FROM refresh_families"),
        }


EMPTIED = {
    "conversations": "[expired]",
    "kept_answers": ("[expired]", 7, 0.5),
    "ticket_texts": ("[expired]", "[expired]", "[expired]", True),
    "model_calls": True,
    "logins": 0,
}


@pytest.mark.parametrize("rule", EMPTIED)
async def test_each_rule_empties_its_own(pool: db.Pool, old: UUID, rule: str) -> None:
    whole = await kept(pool, OFF)
    assert whole[rule] != EMPTIED[rule]
    assert await kept(pool, OFF.model_copy(update={rule: 101})) == whole, "a day too young"
    after = await kept(pool, OFF.model_copy(update={rule: 99}))
    assert after == whole | {rule: EMPTIED[rule]}


async def test_cases_go_with_their_vectors(pool: db.Pool, conn: db.Connection, old: UUID) -> None:
    case = await conn.fetchval(
        """
        INSERT INTO solved_cases (imported, customer_id, question, audiences, updated_at)
        VALUES ('k', $1, '\\x00', '{public}', now() - interval '100 days') RETURNING id
        """,
        old,
    )
    await kept(pool, OFF.model_copy(update={"solved_cases": 99}))
    assert await conn.fetchval("SELECT count(*) FROM solved_cases") == 0
    waiting = await conn.fetchval("SELECT payload->>'case_id' FROM jobs WHERE kind = 'index_case'")
    assert waiting == str(case)
