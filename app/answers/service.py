"""Kept answers: read them, and ask their questions again. For administrators.

A replay reads as much as the asker may read today, with what was said before in the conversation; questions
under /v1 have only themselves. It is neither kept nor shown to the asker, and no budget pays for it.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

from app import db
from app.answers.schemas import Replay, Replayed
from app.auth import readers
from app.auth import service as auth
from app.auth.schemas import Identity
from app.chat import service as chat
from app.errors import Conflict, Forbidden, NotFound
from app.llm import service as llm
from app.llm.schemas import KeptAnswer
from app.state import State
from models.agents.protocol import Question
from models.retrieval.passages import Filters


class KeptAnswerNotFound(NotFound):
    """There is no kept answer of that id."""


class AskerGone(Conflict):
    """Whoever asked this is not here any more, so that nobody knows what they may read."""


async def page(
    conn: db.Connection,
    who: Identity,
    before: UUID | None,
    limit: int,
    *,
    outcome: str | None,
    helpful: bool | None,
) -> tuple[list[KeptAnswer], UUID | None]:
    _only_for_admins(who)
    found = await llm.kept_answers(conn, before, limit + 1, outcome=outcome, helpful=helpful)
    return await _judged(conn, found[:limit]), found[limit - 1].id if len(found) > limit else None


async def get(conn: db.Connection, who: Identity, answer_id: UUID) -> KeptAnswer:
    _only_for_admins(who)
    found = await llm.kept_answer(conn, answer_id)
    if found is None:
        raise KeptAnswerNotFound
    [answer] = await _judged(conn, [found])
    return answer


async def _judged(conn: db.Connection, answers: Sequence[KeptAnswer]) -> list[KeptAnswer]:
    """With what their readers said of them."""
    said = await chat.comments(conn, [each.message_id for each in answers if each.message_id])
    return [
        each.model_copy(update={"comment": said.get(each.message_id) if each.message_id else None})
        for each in answers
    ]


async def replay(state: State, who: Identity, answer_id: UUID) -> Replayed:
    """Nothing is held while the model writes."""
    async with db.transaction(state.pool) as conn:
        before = await get(conn, who, answer_id)
        question = await _question(state, conn, before)
    text, citations, done = "", [], {}
    async with aclosing(cast(Any, state.assistant.answer(question))) as events:
        async for event in events:
            match event.kind:
                case "delta":
                    text += event.data["text"]
                case "restart":
                    text = ""
                case "citation":
                    citations.append(str(event.data["chunk_id"]))
                case "done":
                    done = event.data
    return Replayed(before=before, now=_compared(before, text, citations, done))


async def _question(state: State, conn: db.Connection, before: KeptAnswer) -> Question:
    asker = await auth.known(conn, before.user_id) if before.user_id else None
    if asker is None:
        raise AskerGone
    turns = state.profile.assistant.history_messages
    history = await chat.history_of(conn, asker, before.message_id, turns) if before.message_id else ()
    return Question(before.question, history, Filters(audiences=await readers.audiences(conn, asker)))


def _compared(before: KeptAnswer, text: str, citations: list[str], done: dict[str, Any]) -> Replay:
    then = [str(passage["chunk_id"]) for passage in before.passages]
    now = [str(passage["chunk_id"]) for passage in done["passages"]]
    return Replay(
        answer=text,
        outcome=done["outcome"],
        model=done["attempts"][-1]["model"] if done["attempts"] else "none",
        prompt_version=done["prompt_version"],
        citations=citations,
        passages_kept=[each for each in now if each in then],
        passages_new=[each for each in now if each not in then],
        passages_gone=[each for each in then if each not in now],
        latency_ms=done["latency_ms"],
        cost_usd=done["cost_usd"],
        same_text=text == before.answer,
    )


def _only_for_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
