"""What really became of each inquiry, by whom, and whether it lasted.

`chat` says what happens in conversations, holding them locked; tickets are followed. An inquiry goes by its
conversation's id, or by its ticket's where there was no conversation.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.db import Connection
from app.ledger import repository, rules
from app.ledger.schemas import Draft, Entry, Labels, Standing
from app.tickets import followers
from app.tickets.followers import Happening

ANSWERED: dict[str, Standing] = {
    "answered": "answered",
    "abstained": "abstained",
    "degraded": "degraded",
}


async def asked(conn: Connection, conversation_id: UUID) -> None:
    """The customer wrote; after an ending they came back."""
    if await _handed_over(conn, conversation_id):
        return
    now = await repository.now_of(conn, conversation_id)
    await _write(conn, conversation_id, rules.on_question(now, await repository.moment(conn)))
    await repository.watch(conn, conversation_id, "asked", rules.SILENCE)


async def answered(
    conn: Connection, conversation_id: UUID, answer_id: UUID, outcome: str, *, tokens: int, cost_usd: float
) -> None:
    """The assistant answered, or was interrupted; what that cost counts however the inquiry ends."""
    standing = ANSWERED.get(outcome, "interrupted")
    await repository.watch(
        conn,
        conversation_id,
        standing,
        rules.SILENCE,
        answer_id=answer_id,
        tokens=tokens,
        cost_usd=cost_usd,
    )


async def judged(conn: Connection, conversation_id: UUID, answer_id: UUID, *, helpful: bool) -> None:
    """The customer's verdict on an answer. One on an earlier answer says nothing of how it ended."""
    known = await repository.conversation(conn, conversation_id)
    if known is None or known.standing == "handed_over" or known.answer_id != answer_id:
        return
    now = await repository.now_of(conn, conversation_id)
    drafts = rules.on_verdict(now, helpful=helpful)
    await _write(conn, conversation_id, drafts)
    if helpful:
        await repository.watch(conn, conversation_id, "answered", None)
    elif drafts or (now and now.state in rules.OPEN):
        await repository.watch(conn, conversation_id, "unhelpful", rules.SILENCE)


async def handed_over(conn: Connection, conversation_id: UUID, ticket_id: UUID) -> None:
    """From now on the ticket says how it ends; call it before the ticket is made.

    A verdict, or a silence that was taken for an end, is revoked: people are asked for after all.
    """
    known = await repository.conversation(conn, conversation_id)
    now = await repository.now_of(conn, conversation_id)
    await _write(conn, conversation_id, rules.on_return(now))
    reason = f"after_{known.standing}" if known else "after_asked"
    await _write(conn, conversation_id, [Draft("handed_over", reason)], ticket_id=ticket_id)
    await repository.watch(conn, conversation_id, "handed_over", None)


async def classified(conn: Connection, conversation_id: UUID, labels: Labels) -> None:
    """What a conversation is about; of one that was handed over, its ticket says that."""
    known = await repository.labels_of(conn, conversation_id)
    if known != labels and not await _handed_over(conn, conversation_id):
        await repository.add(conn, conversation_id, [Draft("classified", "labels_changed")], labels)


async def silent(conn: Connection, limit: int, now: datetime | None = None) -> list[UUID]:
    """Conversations that have been silent for long enough; settle them once they are locked."""
    return await repository.silent(conn, now, limit)


async def settle(conn: Connection, conversation_ids: Sequence[UUID], now: datetime | None = None) -> int:
    """Take their silence for an end, where it still lasts; how many ended.

    `now` is when that is done, by default the database's time. To settle twice changes nothing.
    """
    ended = 0
    for conversation in await repository.settled(conn, conversation_ids, now):
        state = await repository.now_of(conn, conversation.inquiry_id)
        drafts = rules.on_silence(state, conversation)
        await _write(conn, conversation.inquiry_id, drafts, now=now)
        ended += len(drafts)
    return ended


async def entries(conn: Connection, inquiry_id: UUID) -> list[Entry]:
    """All that is known of an inquiry, by the id of its conversation or of its ticket; oldest first."""
    return await repository.entries(conn, inquiry_id)


@followers.follow
async def keep_ledger(conn: Connection, ticket_id: UUID, what: Happening) -> None:
    if what == "customer_message":
        return
    subject = await repository.subject(conn, ticket_id)
    if subject:
        drafts = rules.on_ticket(subject)
        await repository.add(conn, subject.inquiry_id, drafts, subject.labels, ticket_id=ticket_id)


async def _handed_over(conn: Connection, conversation_id: UUID) -> bool:
    known = await repository.conversation(conn, conversation_id)
    return known is not None and known.standing == "handed_over"


async def _write(
    conn: Connection,
    inquiry_id: UUID,
    drafts: Sequence[Draft],
    *,
    ticket_id: UUID | None = None,
    now: datetime | None = None,
) -> None:
    """Entries that say nothing new of what the inquiry is about."""
    if drafts:
        labels = await repository.labels_of(conn, inquiry_id)
        await repository.add(conn, inquiry_id, drafts, labels, ticket_id=ticket_id, now=now)
