"""What an LLM is asked, about labels that the active version cannot know yet; and what its answers are worth.

A ticket is asked about once, where triage does not know its intent and labels with few examples exist, and
only so often a day; budgets (`app.usage`) hold for it as for everybody. It is a job: no request waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app import db
from app.db import Connection
from app.triage import questions_repository as repository
from app.triage.service import version_of
from app.usage.budgets import Book, BudgetSpent
from config.profile import AskingSettings
from models.triage.asking import Answer, Asker, Option
from models.triage.protocol import Label, Triage
from models.triage.text import Ticket

MOST_LABELS = 12
"""In one question: more than a small model tells apart, and all that fits beside a ticket."""

NOBODY = UUID(int=0)
"""Whose budget it is: of budgets for each user, nobody's own."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the LLM said: a label with the share of its labels that turned out right, and its queue."""

    label: Label
    queue: str | None
    reason: str


async def take(conn: Connection, ticket_id: UUID, triage: Triage, limits: AskingSettings) -> bool:
    """Whether this ticket is to be asked about: then it counts as one of the day's questions from now on."""
    version_id = version_of(triage)
    if version_id is None or triage.intent is not None or not limits.per_day:
        return False
    if not await repository.unlearnt(conn, version_id, limits.few, 1):
        return False
    return await repository.add_question(conn, ticket_id, version_id, limits.per_day)


class Questions:
    """Asks, within the budgets and the deadline."""

    def __init__(self, pool: db.Pool, book: Book, asker: Asker, limits: AskingSettings) -> None:
        self.limits = limits
        self._pool = pool
        self._book = book
        self._asker = asker

    async def ask(self, ticket_id: UUID, ticket: Ticket) -> tuple[Answer, Sequence[Option]]:
        """No connection is held while the LLM thinks."""
        async with db.transaction(self._pool) as conn:
            version_id = await repository.version_asked_for(conn, ticket_id)
            options = (
                await repository.unlearnt(conn, version_id, self.limits.few, MOST_LABELS)
                if version_id
                else []
            )
        if not options:
            return Answer("none"), options
        model = self._asker.model
        try:
            async with self._book.reserve(
                NOBODY, model, self._asker.most_usd(ticket, options, model)
            ) as reserved:
                answer = await self._asker.ask(ticket, options, reserved.model)
                reserved.cost_usd = answer.cost_usd
        except BudgetSpent:
            return Answer("budget", model=model), options
        return answer, options


async def judged(
    conn: Connection, ticket_id: UUID, answer: Answer, options: Sequence[Option], least: float
) -> Found | None:
    """Keep the answer; what it comes to where it is believed, which is where its record reaches `least`.

    Its probability is Laplace's: of this model's labels that people judged, the share that they let stand,
    with one right and one wrong added. It begins at a half and is what people make of it.
    """
    label = answer.label
    if label is None:
        await repository.set_answer(conn, ticket_id, answer, decided=False)
        return None
    right, of = await repository.record_of(conn, answer.model or "")
    probability = (right + 1) / (of + 2)
    await repository.set_answer(conn, ticket_id, answer, decided=probability >= least)
    if probability < least:
        return None
    named = next((each.queue for each in options if each.name == label), None)
    queues = await repository.names_of_queues(conn, [named or label, label])
    queue = named if named in queues else label if label in queues else None
    said = f"the LLM {answer.model} says {label}; {right} of {of} of its labels that people judged were right"
    return Found(Label(label, round(probability, 4)), queue, said)
