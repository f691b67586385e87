"""What became of an inquiry: how it ends, who comes back, and that nothing written is ever changed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import JsonValue

from app import db
from app.analytics import jobs as analytics_jobs
from app.auth.schemas import Identity
from app.chat import jobs as chat_jobs
from app.chat import people as chat_people
from app.chat import repository as conversations
from app.chat import service as chat
from app.chat.schemas import FeedbackIn
from app.jobs import repository as job_rows
from app.jobs import service as jobs
from app.jobs.runner import OnceEffect
from app.ledger import service as ledger
from app.ledger.schemas import Labels
from app.tickets import csat, desk, linked, service
from app.tickets.schemas import CsatDraft, Decision, MessageDraft, TicketDraft
from app.tickets.states import Status
from config.embedded.stores import Addresses
from models.triage.learnt import LearntTriager
from tests import factories
from tests.integration import whole

LATER = timedelta(hours=73)


@pytest.fixture(scope="module")
async def pool(stores: Addresses, template_url: str) -> AsyncIterator[db.Pool]:
    """One database for all: every test has customers of its own."""
    opened = await db.connect(await whole.migrated(stores, template_url), max_size=10, statement_timeout_s=10)
    yield opened
    opened.terminate()


@pytest.fixture
async def customer(conn: db.Connection) -> Identity:
    return await factories.person(conn)


@pytest.fixture
async def agent(conn: db.Connection) -> Identity:
    return await factories.agent(conn, "billing")


async def said(conn: db.Connection, inquiry: UUID) -> list[str]:
    return [f"{each.kind}:{each.reason}" for each in await ledger.entries(conn, inquiry)]


async def talk(conn: db.Connection, who: Identity, outcome: str = "answered") -> tuple[UUID, UUID]:
    """A conversation with one answered question."""
    conversation = await chat.start(conn, who, "")
    return conversation.id, await ask(conn, conversation.id, outcome)


async def ask(conn: db.Connection, conversation: UUID, outcome: str = "answered") -> UUID:
    await conversations.add_message(conn, conversation, "customer", "How?")
    await ledger.asked(conn, conversation)
    answer = await conversations.add_message(conn, conversation, "assistant", "So.", outcome=outcome)
    await ledger.answered(conn, conversation, answer, outcome, tokens=10, cost_usd=0.5)
    return answer


async def judge(conn: db.Connection, who: Identity, conversation: UUID, answer: UUID, helpful: bool) -> None:
    await chat.judge(conn, who, conversation, FeedbackIn(message_id=answer, helpful=helpful))


async def settle(conn: db.Connection, after: timedelta = LATER) -> None:
    """What the job does, as if it ran that much later."""
    await conn.execute("UPDATE ledger_conversations SET due_at = due_at - $1::interval", after)
    async with conn.transaction():
        await chat.settle_silent(conn)


async def test_an_answer_that_helped(conn: db.Connection, customer: Identity) -> None:
    conversation, answer = await talk(conn, customer)
    await judge(conn, customer, conversation, answer, True)
    await judge(conn, customer, conversation, answer, True)
    await settle(conn)
    assert await said(conn, conversation) == ["opened:asked", "resolved_by_assistant:confirmed"]


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        ("answered", "resolved_by_assistant:silence"),
        ("abstained", "abandoned:not_known"),
        ("degraded", "abandoned:degraded"),
        ("interrupted", "abandoned:interrupted"),
    ],
)
async def test_seventy_two_hours_of_silence(
    conn: db.Connection, customer: Identity, outcome: str, ending: str
) -> None:
    conversation, _ = await talk(conn, customer, outcome)
    await settle(conn, timedelta(hours=71))
    assert await said(conn, conversation) == ["opened:asked"]
    await settle(conn, timedelta(hours=2))
    await settle(conn)
    assert await said(conn, conversation) == ["opened:asked", ending]


async def test_the_clock_of_the_silence_can_be_set(conn: db.Connection, customer: Identity) -> None:
    conversation, _ = await talk(conn, customer)
    now = datetime.now(UTC) + timedelta(hours=80)
    async with conn.transaction():
        assert not await chat.settle_silent(conn, now)
    _, ended = await ledger.entries(conn, conversation)
    assert ended.recorded_at == now
    assert ended.valid_at < datetime.now(UTC), "it has been so since the answer"


async def test_who_comes_back_revokes(conn: db.Connection, customer: Identity) -> None:
    conversation, _ = await talk(conn, customer)
    await settle(conn)
    await ask(conn, conversation)
    _, ended, returned = await ledger.entries(conn, conversation)
    assert (returned.kind, returned.reason, returned.revokes) == ("reopened", "customer_returned", ended.id)


async def test_who_asks_on_at_once_never_left(conn: db.Connection, customer: Identity) -> None:
    conversation, answer = await talk(conn, customer)
    await judge(conn, customer, conversation, answer, True)
    second = await ask(conn, conversation)
    await judge(conn, customer, conversation, second, True)
    assert (await said(conn, conversation))[2:] == ["reopened:asked_on", "resolved_by_assistant:confirmed"]


async def test_customers_may_think_again(conn: db.Connection, customer: Identity) -> None:
    conversation, answer = await talk(conn, customer)
    await settle(conn)
    await judge(conn, customer, conversation, answer, True)
    await judge(conn, customer, conversation, answer, False)
    await settle(conn)
    await judge(conn, customer, conversation, answer, True)
    entries = await ledger.entries(conn, conversation)
    assert [f"{each.kind}:{each.reason}" for each in entries[1:]] == [
        "resolved_by_assistant:silence",
        "resolved_by_assistant:confirmed",
        "reopened:denied",
        "abandoned:unhelpful",
        "resolved_by_assistant:confirmed",
    ]
    assert entries[2].valid_at == entries[1].valid_at, "it was resolved then, only now it is sure"


async def test_staffs_verdicts_and_verdicts_on_earlier_answers_end_nothing(
    conn: db.Connection, customer: Identity, agent: Identity
) -> None:
    conversation, first = await talk(conn, customer)
    second = await ask(conn, conversation)
    await judge(conn, customer, conversation, first, True)
    await judge(conn, agent, conversation, second, True)
    assert await said(conn, conversation) == ["opened:asked"]


async def test_a_conversation_that_was_handed_over_counts_once(
    conn: db.Connection, customer: Identity, agent: Identity
) -> None:
    conversation, answer = await talk(conn, customer, "abstained")
    await ledger.classified(conn, conversation, Labels("billing", "refund", "en"))
    ticket = await chat.hand_over(conn, customer, conversation, None)
    assert (await chat.hand_over(conn, customer, conversation, None)).id == ticket.id
    await judge(conn, customer, conversation, answer, True)
    await ask(conn, conversation)
    await settle(conn)
    await reply(conn, agent, ticket.id)
    await move(conn, agent, ticket.id, "resolved")
    expected = ["opened:asked", "classified:labels_changed", "handed_over:after_abstained"]
    expected += ["replied:first_reply", "resolved_by_agent:solved"]
    assert await said(conn, conversation) == await said(conn, ticket.id) == expected
    entries = await ledger.entries(conn, ticket.id)
    assert (entries[-1].queue, entries[-1].intent, entries[-1].agent_id) == ("billing", "refund", agent.id)
    spent = await conn.fetchrow(
        "SELECT answers, tokens, cost_usd FROM ledger_conversations WHERE inquiry_id = $1", conversation
    )
    assert spent
    assert tuple(spent) == (2, 20, 1.0)


async def test_to_ask_for_people_after_all_revokes(conn: db.Connection, customer: Identity) -> None:
    conversation, _ = await talk(conn, customer)
    await settle(conn)
    await chat.hand_over(conn, customer, conversation, None)
    assert (await said(conn, conversation))[2:] == [
        "reopened:customer_returned",
        "handed_over:after_answered",
    ]


async def filed(conn: db.Connection, who: Identity) -> UUID:
    return (await service.create(conn, who, TicketDraft(subject="Help", body="It does not work."))).id


async def reply(conn: db.Connection, who: Identity, ticket: UUID) -> None:
    await service.add_message(conn, who, ticket, MessageDraft(body="Try this."))


async def move(conn: db.Connection, who: Identity, ticket: UUID, to: Status) -> None:
    await service.transition(conn, who, ticket, to)


@pytest.mark.parametrize(
    ("steps", "ending"),
    [
        ((("agent", "resolved"),), "resolved_by_agent:solved"),
        ((("agent", "reply"), ("agent", "closed")), "resolved_by_agent:solved"),
        ((("agent", "reply"), ("customer", "closed")), "resolved_by_agent:closed_by_customer"),
        ((("customer", "closed"),), "abandoned:withdrawn"),
        ((("agent", "closed"),), "abandoned:closed_unanswered"),
        ((("agent", "reply"), ("agent", "pending"), ("agent", "closed")), "abandoned:customer_silent"),
    ],
)
async def test_how_tickets_end(
    conn: db.Connection, customer: Identity, agent: Identity, steps: Any, ending: str
) -> None:
    ticket = await filed(conn, customer)
    people = {"agent": agent, "customer": customer}
    for who, what in steps:
        await (reply(conn, agent, ticket) if what == "reply" else move(conn, people[who], ticket, what))
    assert (await said(conn, ticket))[-1] == ending
    await csat.rate(conn, customer, ticket, CsatDraft(score=4))
    await csat.rate(conn, customer, ticket, CsatDraft(score=4, comment="really"))
    await csat.rate(conn, customer, ticket, CsatDraft(score=5))
    rated = [each.value for each in await ledger.entries(conn, ticket) if each.kind == "rated"]
    assert rated == [4, 5]


@pytest.mark.parametrize("back", ["message", "customer", "agent"])
async def test_a_ticket_that_is_reopened(
    conn: db.Connection, customer: Identity, agent: Identity, back: str
) -> None:
    ticket = await filed(conn, customer)
    await move(conn, agent, ticket, "resolved")
    if back == "message":
        await service.add_message(conn, customer, ticket, MessageDraft(body="It does not."))
    else:
        await move(conn, customer if back == "customer" else agent, ticket, "open")
    await move(conn, agent, ticket, "resolved")
    await move(conn, agent, ticket, "closed")
    entries = await ledger.entries(conn, ticket)
    kinds = [each.kind for each in entries]
    assert kinds == ["opened", "resolved_by_agent", "reopened", "resolved_by_agent"]
    assert entries[2].revokes == entries[1].id
    assert entries[2].reason == ("agent_reopened" if back == "agent" else "customer_returned")


async def test_a_merged_ticket_does_not_count(
    conn: db.Connection, customer: Identity, agent: Identity
) -> None:
    one, other = await filed(conn, customer), await filed(conn, customer)
    await linked.merge(conn, agent, one, other)
    assert (await said(conn, one))[-1] == "merged:merged"
    assert await said(conn, other) == ["opened:filed"]


async def test_what_a_ticket_is_about_follows_triage(conn: db.Connection, customer: Identity) -> None:
    await factories.queue(conn, "sync")
    ticket = await filed(conn, customer)
    decision = Decision(
        queue="sync", intent="sync_error", language="de", sentiment="neutral", priority="low", record={}
    )
    await desk.record_triage(conn, ticket, decision)
    await desk.record_triage(conn, ticket, decision)
    _, classified = await ledger.entries(conn, ticket)
    assert (classified.queue, classified.intent, classified.language) == ("sync", "sync_error", "de")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger_entries SET reason = 'x'", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries"],
)
async def test_nothing_in_it_is_changed(conn: db.Connection, customer: Identity, statement: str) -> None:
    await talk(conn, customer)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await conn.execute(statement)


async def test_an_entry_is_revoked_once(conn: db.Connection, customer: Identity) -> None:
    conversation, answer = await talk(conn, customer)
    await judge(conn, customer, conversation, answer, True)
    again = """
        INSERT INTO ledger_entries (inquiry_id, kind, reason, valid_at, recorded_at, revokes)
        SELECT inquiry_id, 'reopened', 'denied', now(), now(), id FROM ledger_entries
         WHERE kind = 'resolved_by_assistant' AND inquiry_id = $1
    """
    await conn.execute(again, conversation)
    with pytest.raises(asyncpg.UniqueViolationError):
        await conn.execute(again, conversation)


async def test_a_conversation_that_was_deleted_still_ends(conn: db.Connection, customer: Identity) -> None:
    conversation, _ = await talk(conn, customer)
    await conn.execute("DELETE FROM conversations WHERE id = $1", conversation)
    await settle(conn)
    assert (await said(conn, conversation))[-1] == "resolved_by_assistant:silence"
    assert await said(conn, uuid4()) == []


async def test_handing_over_five_times_at_once_is_handing_over_once(
    pool: db.Pool, conn: db.Connection, customer: Identity
) -> None:
    conversation, _ = await talk(conn, customer)

    async def hand_over() -> UUID:
        async with db.transaction(pool) as own:
            return (await chat.hand_over(own, customer, conversation, None)).id

    assert len(set(await asyncio.gather(*(hand_over() for _ in range(5))))) == 1
    assert await said(conn, conversation) == ["opened:asked", "handed_over:after_answered"]


async def test_what_is_being_said_right_now_is_not_taken_for_silence(
    pool: db.Pool, conn: db.Connection, customer: Identity
) -> None:
    conversation, _ = await talk(conn, customer)
    now = datetime.now(UTC) + LATER
    async with db.transaction(pool) as speaking:
        await ask(speaking, conversation)
        async with conn.transaction():
            await chat.settle_silent(conn, now)
    assert await said(conn, conversation) == ["opened:asked"]


async def test_the_jobs_tell_what_it_is_about_settle_it_and_refresh_the_figures(
    pool: db.Pool, conn: db.Connection, customer: Identity, triager: LearntTriager
) -> None:
    handlers = {**chat_jobs.handlers(pool, triager), **analytics_jobs.handlers()}
    conversation = (await chat.start(conn, customer, "")).id
    await conversations.add_message(conn, conversation, "customer", "password login reset help")
    await ledger.asked(conn, conversation)
    await conn.execute("UPDATE ledger_conversations SET due_at = now() WHERE inquiry_id = $1", conversation)
    work: dict[str, dict[str, JsonValue]] = {
        chat.CLASSIFY: {"conversation_id": str(conversation)},
        chat_jobs.SETTLE: {},
        analytics_jobs.REFRESH: {},
    }
    for kind, payload in work.items():
        async with db.transaction(pool) as own:
            await jobs.enqueue(own, kind, payload)
            taken = await job_rows.take(own, limit=1000, lease_s=60)
        [job] = [each for each in taken if each.kind == kind]
        await handlers[kind](job, OnceEffect(pool, job))
    _, classified, ended = await ledger.entries(conn, conversation)
    assert (classified.queue, classified.intent, classified.language) == ("accounts", "password_reset", "en")
    assert f"{ended.kind}:{ended.reason}" == "abandoned:unanswered"
    seen = await chat.get(conn, await factories.person(conn, "agent"), conversation)
    assert seen.triage
    assert (seen.triage["version"], seen.triage["intent"]["name"]) == (triager.version, "password_reset")
    assert seen.triage["reasons"]
    assert (await chat.get(conn, customer, conversation)).triage is None
    await chat_people.HOLDINGS.forget(conn, customer.id)
    kept = await conn.fetchval("SELECT triage FROM conversations WHERE id = $1", conversation)
    assert "reasons" not in kept, "they may quote what was said"
    kinds = await conn.fetch("SELECT kind FROM analytics_facts WHERE key = $1 ORDER BY kind", conversation)
    assert [row["kind"] for row in kinds] == ["ended", "opened"]
