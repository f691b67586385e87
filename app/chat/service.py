"""Conversations: asking, answering, judging, handing over."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from anyio import CancelScope

from app import db
from app.auth import readers
from app.auth.schemas import Identity
from app.cases import service as cases
from app.chat import repository
from app.chat.schemas import Conversation, ConversationJob, FeedbackIn, Message
from app.errors import Conflict, NotFound
from app.events import service as events
from app.jobs import service as jobs
from app.knowledge import service as knowledge
from app.ledger import service as ledger
from app.ledger.schemas import Labels
from app.llm import service as llm
from app.state import State
from app.tickets import service as tickets
from app.tickets.schemas import Decision, Ticket, TicketDraft
from models.agents.answering import search_text
from models.agents.protocol import Event, Question, Turn
from models.retrieval.passages import Filters

CLASSIFY = "classify_conversation"
SETTLED_AT_ONCE = 200
WITHHELD = "This answer was written from an article that you may not read (any more)."


class ConversationNotFound(NotFound):
    """There is no such conversation, or it is not yours."""


class AnswerNotFound(NotFound):
    """This conversation has no answer of the assistant with that id."""


class NothingAsked(Conflict):
    """Nothing was asked in this conversation yet, so that there is nothing to hand over."""


@dataclass(slots=True)
class _Heard:
    """What the customer actually got to see, as it came."""

    text: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] | None = None
    sources: list[UUID] = field(default_factory=list)

    def note(self, event: Event) -> None:
        match event.kind:
            case "meta":
                self.sources = list({UUID(source["article_id"]) for source in event.data["sources"]})
            case "delta":
                self.text += event.data["text"]
            case "restart":
                self.text = ""
            case "citation":
                self.citations.append(event.data)
            case "done":
                self.record = event.data


async def start(conn: db.Connection, who: Identity, title: str) -> Conversation:
    return await repository.add(conn, who.id, title)


async def get(conn: db.Connection, who: Identity, conversation_id: UUID) -> Conversation:
    """The conversation, if it is `who`'s own or `who` is staff."""
    found = await repository.get(conn, conversation_id)
    if found is None or not (who.is_staff or found.user_id == who.id):
        raise ConversationNotFound
    return visible_to(who, found.conversation)


def visible_to(who: Identity, conversation: Conversation) -> Conversation:
    """As `who` may see it: triage is for staff."""
    return conversation if who.is_staff else conversation.model_copy(update={"triage": None})


async def page(
    conn: db.Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Conversation], UUID | None]:
    """`who`'s own conversations, newest first, and where to go on if there are more."""
    found = await repository.page(conn, who.id, before, limit + 1)
    shown = [visible_to(who, each) for each in found[:limit]]
    return shown, shown[-1].id if len(found) > limit else None


async def messages(
    conn: db.Connection, who: Identity, conversation_id: UUID, after: UUID | None, limit: int
) -> tuple[list[Message], UUID | None]:
    await get(conn, who, conversation_id)
    found = await repository.messages(conn, conversation_id, after, limit + 1)
    return await _shown(conn, who, found[:limit]), found[limit - 1].id if len(found) > limit else None


async def _shown(conn: db.Connection, who: Identity, said: Sequence[Message]) -> list[Message]:
    """Without the answers that were written from what `who` may not read, or not any more."""
    sources = {source for message in said for source in message.sources}
    readable = await knowledge.readable(conn, who, sources)
    return [message if readable.issuperset(message.sources) else _withheld(message) for message in said]


def _withheld(message: Message) -> Message:
    return message.model_copy(update={"content": WITHHELD, "citations": [], "withheld": True})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question written down, and the id that its answer will have, later than the question's own."""

    conversation_id: UUID
    answer_id: UUID
    question: Question


async def ask(state: State, who: Identity, conversation_id: UUID, content: str) -> Asked:
    """Write the question down, in a transaction of its own; what comes back goes to `answer`."""
    async with db.transaction(state.pool) as conn:
        await get(conn, who, conversation_id)
        filters = Filters(audiences=await readers.audiences(conn, who))
        earlier = await repository.last_messages(
            conn, conversation_id, state.profile.assistant.history_messages
        )
        remembered = [m for m in await _shown(conn, who, earlier) if not m.withheld]
        await repository.add_message(conn, conversation_id, "customer", content)
        await ledger.asked(conn, conversation_id)
        if not earlier:
            payload = ConversationJob(conversation_id=conversation_id).model_dump(mode="json")
            await jobs.enqueue(conn, CLASSIFY, payload, dedupe_key=str(conversation_id))
        answer_id = await repository.next_id(conn)
    turns = tuple(_turn(message) for message in remembered)
    return Asked(conversation_id, answer_id, Question(content, turns, filters))


async def answer(state: State, who: Identity, asked: Asked) -> AsyncIterator[Event]:
    """Stream the reply, then record what the customer actually saw.

    No connection is held while the model writes: answers take seconds, pools are small.
    """
    ids = {"conversation_id": str(asked.conversation_id), "message_id": str(asked.answer_id)}
    heard = _Heard()
    async with llm.assistant_within_budget(state, who, asked.question) as (question, reservation):
        try:
            async with aclosing(cast(Any, state.assistant.answer(question))) as events:
                async for event in events:
                    heard.note(event)
                    yield Event(event.kind, ids | event.data) if event.kind in {"meta", "done"} else event
        finally:
            if heard.record:
                reservation.cost_usd = heard.record["cost_usd"]
            with CancelScope(shield=True):  # also when the customer hangs up
                async with db.transaction(state.pool) as conn:
                    await _record(conn, who, asked, heard)


async def _record(conn: db.Connection, who: Identity, asked: Asked, heard: _Heard) -> None:
    record = heard.record
    outcome = record["outcome"] if record else "interrupted"
    await repository.add_message(
        conn,
        asked.conversation_id,
        "assistant",
        heard.text,
        message_id=asked.answer_id,
        citations=heard.citations,
        sources=heard.sources,
        outcome=outcome,
    )
    if record:
        await llm.keep_answer(conn, who, asked.answer_id, asked.question.content, heard.text, record)
    await ledger.answered(
        conn,
        asked.conversation_id,
        asked.answer_id,
        outcome,
        tokens=sum(record["usage"][kind] for kind in ("prompt_tokens", "completion_tokens")) if record else 0,
        cost_usd=record["cost_usd"] if record else 0.0,
    )


async def history_of(conn: db.Connection, who: Identity, answer_id: UUID, limit: int) -> tuple[Turn, ...]:
    """What was said before the question that this message answers, as far as `who` may still read it."""
    said = await repository.said_before(conn, answer_id, limit + 1)
    return tuple(_turn(message) for message in await _shown(conn, who, said[:-1]) if not message.withheld)


def _turn(message: Message) -> Turn:
    return Turn("user" if message.author == "customer" else "assistant", message.content)


async def judge(conn: db.Connection, who: Identity, conversation_id: UUID, verdict: FeedbackIn) -> None:
    """Keep the verdict; where the customer says that it helped, later searches learn from it."""
    await repository.lock(conn, conversation_id)
    await get(conn, who, conversation_id)
    if not await repository.set_feedback(
        conn, conversation_id, verdict.message_id, verdict.helpful, verdict.comment
    ):
        raise AnswerNotFound
    if await repository.is_owner(conn, conversation_id, who.id):
        await ledger.judged(conn, conversation_id, verdict.message_id, helpful=verdict.helpful)
        await _learn(conn, who, conversation_id, verdict)


async def _learn(conn: db.Connection, who: Identity, conversation_id: UUID, verdict: FeedbackIn) -> None:
    if not verdict.helpful:
        await cases.deny_answer(conn, verdict.message_id)
        return
    asked = await repository.asked_before(conn, conversation_id, verdict.message_id, 2)
    question = search_text(asked[-1], asked[:-1]) if asked else ""
    cited = await repository.cited(conn, verdict.message_id)
    await cases.confirm_answer(conn, who, verdict.message_id, question, cited)


async def comments(conn: db.Connection, answer_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What readers said of these answers, where they judged them."""
    return await repository.comments(conn, answer_ids)


async def hand_over(conn: db.Connection, who: Identity, conversation_id: UUID, subject: str | None) -> Ticket:
    """Open a ticket with everything said so far; a second call answers with the same ticket."""
    await repository.lock(conn, conversation_id)
    conversation = await get(conn, who, conversation_id)
    if conversation.ticket_id:
        return await tickets.get(conn, who, conversation.ticket_id)
    said = await _shown(conn, who, await repository.last_messages(conn, conversation_id, 50))
    asked = [_plain(message.content) for message in said if message.author == "customer"]
    if not asked:
        raise NothingAsked
    body = _plain("\n\n".join(f"{message.author}: {message.content}" for message in said))
    ticket_id = await repository.next_id(conn)
    await ledger.handed_over(conn, conversation_id, ticket_id)
    draft = TicketDraft(subject=subject or asked[0][:200], body=body[-20_000:])
    ticket = await tickets.create(conn, who, draft, ticket_id=ticket_id)
    await repository.link_ticket(conn, conversation_id, ticket.id)
    data = {"ticket_id": str(ticket.id)}
    await events.publish(conn, "conversation", conversation_id, "handed_over", tickets.actor(who), data)
    return ticket


def _plain(text: str) -> str:
    """As a ticket takes it, also what was said while conversations still took NUL characters."""
    return text.replace("\x00", "").strip() or "?"


async def settle_silent(conn: db.Connection, now: datetime | None = None) -> bool:
    """Let conversations end that have been silent for long enough by `now`; whether there may be more.

    One in which something is being said right now is left out.
    """
    due = await ledger.silent(conn, SETTLED_AT_ONCE, now)
    await ledger.settle(conn, await repository.lock_free(conn, due), now)
    return len(due) == SETTLED_AT_ONCE


async def first_question(conn: db.Connection, conversation_id: UUID) -> str | None:
    """What a conversation began with. Nobody's request comes here: there is no identity to check."""
    said = await repository.messages(conn, conversation_id, None, 1)
    return said[0].content if said else None


async def note_triage(conn: db.Connection, conversation_id: UUID, decided: Decision) -> None:
    """What triage says of a conversation's first question: for staff to see, and for the ledger's figures."""
    await repository.lock(conn, conversation_id)
    await repository.set_triage(conn, conversation_id, decided.record)
    await ledger.classified(conn, conversation_id, Labels(decided.queue, decided.intent, decided.language))
