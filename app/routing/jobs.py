"""The jobs that follow from tickets: triage of a new one, and handing out what waits."""

from collections.abc import Mapping, Sequence

from app import db
from app.jobs.schemas import Effect, Handler, Job
from app.routing import service
from app.tickets import desk
from app.tickets.schemas import BacklogJob, Ticket, TicketJob
from app.tickets.service import ASSIGN_BACKLOG, TRIAGE_TICKET
from app.triage.questions import Questions
from models.triage.asking import Answer, Option
from models.triage.protocol import Triager
from models.triage.text import Ticket as Text


def handlers(
    pool: db.Pool, triager: Triager, questions: Questions | None = None, *, least: float = 0.5
) -> Mapping[str, Handler]:
    """What a `Runner` needs to know of routing. Without `questions` no LLM is ever asked.

    `least` is the share of an LLM's labels that have to have been right for one more to be believed.
    """

    async def ticket_of(job: Job) -> Ticket | None:
        async with db.transaction(pool) as conn:
            return await desk.read(conn, TicketJob.model_validate(job.payload).ticket_id)

    async def triage_ticket(job: Job, effect: Effect) -> None:
        """No connection is held while the model thinks."""
        if (ticket := await ticket_of(job)) is None:
            return
        triage = await triager.triage(ticket.subject, ticket.body)
        async with effect() as conn:
            await service.settle(conn, ticket.id, triage, questions.limits if questions else None)

    async def ask_llm(job: Job, effect: Effect) -> None:
        if (ticket := await ticket_of(job)) is None:
            return
        answer: Answer = Answer("failed")
        options: Sequence[Option] = ()
        if questions is not None:
            answer, options = await questions.ask(ticket.id, Text(ticket.subject, ticket.body))
        async with effect() as conn:
            await service.settle_asked(conn, ticket.id, answer, options, least)

    async def assign_backlog(job: Job, effect: Effect) -> None:
        reason = BacklogJob.model_validate(job.payload)
        async with effect() as conn:
            await service.drain(conn, reason)

    return {TRIAGE_TICKET: triage_ticket, service.ASK_LLM: ask_llm, ASSIGN_BACKLOG: assign_backlog}
