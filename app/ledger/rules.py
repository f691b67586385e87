"""What the ledger makes of what happens: the whole of it, without I/O and without a clock.

A conversation that was handed over goes by its ticket alone. An ending that is followed by a return is
revoked: it was none.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from app.ledger.schemas import Conversation, Draft, Now, Standing, State, Subject
from app.tickets.states import ENDED

SILENCE = timedelta(hours=72)
"""After which nobody is expected to come back; who does reopens."""

ASKED_ON = timedelta(minutes=30)
"""Who says that an answer helped and then asks the next thing did not come back: they were still there."""

OPEN: frozenset[State] = frozenset({"opened", "reopened"})
ENDINGS: frozenset[State] = frozenset({"resolved_by_assistant", "resolved_by_agent", "abandoned"})

ABANDONED_AFTER: Mapping[Standing, str] = {
    "asked": "unanswered",
    "abstained": "not_known",
    "degraded": "degraded",
    "interrupted": "interrupted",
    "unhelpful": "unhelpful",
}


def on_question(now: Now | None, at: datetime) -> list[Draft]:
    """The customer wrote in a conversation."""
    if now and now.reason == "confirmed" and at - now.recorded_at <= ASKED_ON:
        return [Draft("reopened", "asked_on", revokes=now.id)]
    return on_return(now)


def on_return(now: Now | None) -> list[Draft]:
    """The customer is there (again)."""
    if now is None:
        return [Draft("opened", "asked")]
    return [Draft("reopened", "customer_returned", revokes=now.id)] if now.state in ENDINGS else []


def on_verdict(now: Now | None, *, helpful: bool) -> list[Draft]:
    """The customer says whether the last answer of a conversation helped; they may think again."""
    if now is None or now.state == "merged" or (helpful and now.reason == "confirmed"):
        return []
    revokes = now.id if now.state in ENDINGS else None
    if helpful:
        since = now.valid_at if now.state == "resolved_by_assistant" else None
        return [Draft("resolved_by_assistant", "confirmed", valid_at=since, revokes=revokes)]
    return [Draft("reopened", "denied", revokes=revokes)] if now.state == "resolved_by_assistant" else []


def on_silence(now: Now | None, conversation: Conversation) -> list[Draft]:
    """Nobody said anything for `SILENCE`. It has been so since the last thing that was said."""
    if now is None or now.state not in OPEN:
        return []
    if conversation.standing == "answered":
        return [Draft("resolved_by_assistant", "silence", valid_at=conversation.since)]
    reason = ABANDONED_AFTER[conversation.standing]
    return [Draft("abandoned", reason, valid_at=conversation.since)]


def on_ticket(subject: Subject) -> list[Draft]:
    """A ticket was changed, answered or rated."""
    drafts = [*_state(subject), *_facts(subject)]
    if not drafts and subject.labels != subject.known:
        return [Draft("classified", "labels_changed")]
    return drafts


def _state(subject: Subject) -> Iterator[Draft]:
    now = subject.now
    if now is None:
        yield Draft("opened", "filed", valid_at=subject.created_at)
    elif now.state == "merged":
        return
    revokes = now.id if now and now.state in ENDINGS else None
    if subject.merged:
        yield Draft("merged", "merged", revokes=revokes)
    elif subject.status in ENDED and revokes is None:
        yield _ending(subject)
    elif subject.status not in ENDED and revokes:
        reason = "customer_returned" if subject.moved_by_customer else "agent_reopened"
        yield Draft("reopened", reason, revokes=revokes)


def _ending(subject: Subject) -> Draft:
    agent = subject.assignee_id or subject.replier_id
    answered = subject.replied_at is not None
    if subject.moved_by_customer:
        if answered:
            return Draft("resolved_by_agent", "closed_by_customer", agent_id=agent)
        return Draft("abandoned", "withdrawn")
    if subject.status == "closed" and not answered:
        return Draft("abandoned", "closed_unanswered")
    if subject.status == "closed" and subject.moved_from == "pending":
        return Draft("abandoned", "customer_silent")
    return Draft("resolved_by_agent", "solved", agent_id=agent)


def _facts(subject: Subject) -> Iterator[Draft]:
    if subject.replied_at and not subject.replied:
        after_s = (subject.replied_at - subject.created_at).total_seconds()
        replier = subject.replier_id
        yield Draft("replied", "first_reply", valid_at=subject.replied_at, agent_id=replier, value=after_s)
    if subject.score is not None and subject.score != subject.rated:
        yield Draft("rated", "by_customer", value=subject.score)
