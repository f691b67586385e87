"""The jobs that follow from tickets: triage of a new one, and handing out what waits."""

from collections.abc import Mapping

from app import db
from app.jobs.schemas import Effect, Handler, Job
from app.routing import service
from app.tickets import desk
from app.tickets.schemas import BacklogJob, TicketJob
from app.tickets.service import ASSIGN_BACKLOG, TRIAGE_TICKET
from models.triage.protocol import Triager


def handlers(pool: db.Pool, triager: Triager) -> Mapping[str, Handler]:
    """What a `Runner` needs to know of routing."""

    async def triage_ticket(job: Job, effect: Effect) -> None:
        """No connection is held while the model thinks."""
        ticket_id = TicketJob.model_validate(job.payload).ticket_id
        async with db.transaction(pool) as conn:
            ticket = await desk.read(conn, ticket_id)
        if ticket is None:
            return
        triage = await triager.triage(ticket.subject, ticket.body)
        async with effect() as conn:
            await service.settle(conn, ticket_id, triage)

    async def assign_backlog(job: Job, effect: Effect) -> None:
        reason = BacklogJob.model_validate(job.payload)
        async with effect() as conn:
            await service.drain(conn, reason)

    return {TRIAGE_TICKET: triage_ticket, ASSIGN_BACKLOG: assign_backlog}
