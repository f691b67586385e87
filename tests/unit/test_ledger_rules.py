"""Whatever happens to an inquiry, in whatever order: one ending stands at a time, none is revoked twice."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from app.ledger import rules
from app.ledger.schemas import Conversation, Draft, Labels, Now, State, Subject
from app.tickets.states import STATUSES

START = datetime(2026, 1, 1, tzinfo=UTC)
STANDINGS = ("asked", "answered", "abstained", "degraded", "interrupted", "unhelpful")


@dataclass
class Book:
    """The ledger of one inquiry, in memory."""

    at: datetime = START
    entries: list[tuple[UUID, Draft, datetime]] = field(default_factory=list)

    def write(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            assert draft.valid_at is None or draft.valid_at <= self.at
            if draft.revokes:
                assert draft.revokes not in {each.revokes for _, each, _ in self.entries}
                assert draft.revokes == self._latest()[0], "only what stands is revoked"
            self.entries.append((uuid4(), draft, self.at))
        self.check()

    def check(self) -> None:
        revoked = {draft.revokes for _, draft, _ in self.entries}
        standing = [e for e in self.entries if e[1].kind in rules.ENDINGS and e[0] not in revoked]
        now = self.now
        assert len(standing) == (1 if now and now.state in rules.ENDINGS else 0)

    def _latest(self) -> tuple[UUID, Draft, datetime]:
        states = rules.OPEN | rules.ENDINGS | {"merged"}
        return [each for each in self.entries if each[1].kind in states][-1]

    @property
    def now(self) -> Now | None:
        if not self.entries:
            return None
        entry_id, draft, recorded_at = self._latest()
        state: Any = draft.kind
        return Now(entry_id, state, draft.reason, draft.valid_at or recorded_at, recorded_at)


minutes = st.sampled_from((1, 29, 31, 4000, 5000))


@given(
    st.lists(st.tuples(st.sampled_from(("ask", "helpful", "unhelpful", *STANDINGS)), minutes), max_size=30)
)
def test_conversations(happens: list[tuple[str, int]]) -> None:
    book = Book()
    for what, later in happens:
        since, book.at = book.at, book.at + timedelta(minutes=later)
        if what == "ask":
            book.write(rules.on_question(book.now, book.at))
        elif what in {"helpful", "unhelpful"}:
            book.write(rules.on_verdict(book.now, helpful=what == "helpful"))
            if book.now:
                assert (book.now.reason == "confirmed") == (what == "helpful")
        else:
            standing: Any = what
            book.write(rules.on_silence(book.now, Conversation(uuid4(), standing, None, since)))
            assert book.now is None or book.now.state in rules.ENDINGS


tickets = st.builds(
    Subject,
    inquiry_id=st.just(UUID(int=1)),
    now=st.none(),
    known=st.just(Labels()),
    replied=st.booleans(),
    rated=st.none(),
    status=st.sampled_from(STATUSES),
    merged=st.sampled_from((False, False, False, True)),
    labels=st.just(Labels()),
    created_at=st.just(START),
    replied_at=st.sampled_from((None, START)),
    replier_id=st.none(),
    assignee_id=st.none(),
    moved_by_customer=st.booleans(),
    moved_from=st.sampled_from((None, *STATUSES)),
    score=st.none(),
)


@given(st.lists(tickets, max_size=30))
def test_tickets(changes: list[Subject]) -> None:
    book = Book()
    merged = False
    for change in changes:
        book.at += timedelta(minutes=1)
        book.write(rules.on_ticket(replace(change, now=book.now)))
        merged = merged or change.merged
        assert book.now
        expected: frozenset[State] = rules.ENDINGS if change.status in {"resolved", "closed"} else rules.OPEN
        assert book.now.state in ({"merged"} if merged else expected)
