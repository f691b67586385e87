"""Finding the right person for a ticket, and saying why."""

from dataclasses import asdict, replace
from datetime import timedelta
from uuid import UUID

from app.db import Connection
from app.jobs import service as jobs
from app.routing import repository, rules_repository
from app.routing.rules import Rule, applied, first_fitting
from app.routing.schemas import Agent, Preview, PreviewRequest, Queue, Score, Skill, TriageOut
from app.routing.scoring import WEIGHTS, Candidate, Need, Ranked, best, rank
from app.sla import service as sla
from app.tickets import desk
from app.tickets.schemas import BacklogJob, Decision, Ticket
from app.tickets.service import ASSIGN_BACKLOG
from app.tickets.states import ENDED
from app.triage import service as versions
from models.triage.protocol import Triage

BACKLOG_BATCH = 50
"""Tickets that one job hands out: it holds their queue's agents for that long."""


async def queues(conn: Connection) -> list[Queue]:
    return await repository.queues(conn)


async def agents(conn: Connection) -> list[Agent]:
    found = await repository.agents(conn)
    counts = await desk.open_counts(conn, [agent.id for agent in found])
    return [agent.model_copy(update={"open": counts.get(agent.id, 0)}) for agent in found]


async def skills(conn: Connection) -> list[Skill]:
    return await repository.skills(conn)


async def preview(conn: Connection, wish: PreviewRequest, triage: Triage) -> Preview:
    """What would become of a ticket that was triaged like this. Changes nothing."""
    decided = decision(triage)
    rule = await _rule(conn, decided, wish.tags, wish.subject, wish.body)
    decided = applied(rule, decided)
    queue = decided.queue
    prospect = await sla.prospect(conn, queue, decided.priority)
    need = Need(
        queue=queue,
        intent=triage.intent.name if triage.intent else None,
        language=triage.language.name,
        left=timedelta(minutes=prospect.left_min) if prospect else None,
    )
    ranking = rank(await _candidates(conn, need.queue), need) if need.queue else []
    chosen = best(ranking)
    return Preview(
        triage=triage_out(triage),
        agents=[score(each) for each in ranking],
        assignee=score(chosen) if chosen else None,
        rule=rule.name if rule else None,
        promise=prospect,
    )


async def settle(conn: Connection, ticket_id: UUID, triage: Triage) -> None:
    """Write what triage decided, and give the ticket to the best free agent of its queue."""
    ticket = await desk.lock(conn, ticket_id)
    if ticket is None:
        return
    decided = decision(triage)
    rule = await _rule(conn, decided, ticket.tags, ticket.subject, ticket.body)
    await desk.record_triage(conn, ticket_id, applied(rule, decided))
    await versions.record(conn, ticket_id, triage)
    ticket = await desk.read(conn, ticket_id)
    if ticket and ticket.assignee is None and ticket.status not in ENDED:
        obstacle = await assign(conn, ticket)
        if obstacle:
            await desk.note_waiting(conn, ticket_id, obstacle)


async def _rule(conn: Connection, decided: Decision, tags: list[str], subject: str, body: str) -> Rule | None:
    enabled = [rule for rule in await rules_repository.rules(conn) if rule.enabled]
    return first_fitting(enabled, decided, tags=tags, subject=subject, body=body)


async def settle_old(conn: Connection, ticket_id: UUID, triage: Triage) -> bool:
    """Write what triage says of an old ticket, once for each version; nobody is assigned by it.

    `False` where it was done before, also by a run at the same time: the ticket is locked first.
    """
    ticket = await desk.lock(conn, ticket_id)
    if ticket is None or not await versions.unread(conn, UUID(triage.version), [ticket_id]):
        return False
    await versions.record(conn, ticket_id, triage)
    if ticket.triage is None:
        await desk.record_triage(conn, ticket_id, decision(triage))
    return True


async def assign(conn: Connection, ticket: Ticket) -> str | None:
    """Give a ticket, which the caller holds locked, to the best free agent; else the reason why it waits.

    The queue's agents are locked first and counted after, so that two tickets at once cannot both take an
    agent's last free place.
    """
    if ticket.queue is None:
        return "triage does not know the queue: a person decides"
    await repository.lock_members(conn, [ticket.queue])
    left = await sla.left(conn, ticket.id)
    need = Need(ticket.queue, ticket.intent, ticket.language, left)
    chosen = best(rank(await _candidates(conn, ticket.queue), need))
    if chosen is None:
        return f"nobody in {ticket.queue} is present and has room"
    await desk.assign(conn, ticket.id, chosen.candidate.id, score(chosen).model_dump(mode="json"))
    await repository.mark_assigned(conn, chosen.candidate.id)
    return None


async def drain(conn: Connection, reason: BacklogJob) -> int:
    """Hand out what waits in the queues concerned, the longest for their priority first; how many."""
    queue_ids = await repository.queue_ids(conn, agent_id=reason.agent_id, name=reason.queue)
    waiting = await desk.unassigned(conn, queue_ids, BACKLOG_BATCH)
    await repository.lock_members(conn, sorted({ticket.queue for ticket in waiting if ticket.queue}))
    full: set[str | None] = set()
    given = 0
    for ticket in waiting:
        if ticket.queue in full:
            continue
        if await assign(conn, ticket):
            full.add(ticket.queue)
        else:
            given += 1
    if given and len(waiting) == BACKLOG_BATCH:
        await wake(conn, reason)
    return given


async def wake(conn: Connection, reason: BacklogJob) -> None:
    """Ask for a `drain`."""
    payload = reason.model_dump(mode="json")
    await jobs.enqueue(conn, ASSIGN_BACKLOG, payload, dedupe_key=f"{reason.agent_id or reason.queue}")


def decision(triage: Triage) -> Decision:
    """What is written to the ticket; the whole decision goes into its record."""
    return Decision(
        queue=triage.queue.name if triage.queue else None,
        intent=triage.intent.name if triage.intent else None,
        language=triage.language.name,
        sentiment=triage.sentiment,
        priority=triage.priority,
        record=triage_out(triage).model_dump(mode="json"),
    )


def triage_out(triage: Triage) -> TriageOut:
    return TriageOut.model_validate(asdict(replace(triage, shadow=None)))


def score(ranked: Ranked) -> Score:
    return Score(
        agent_id=ranked.candidate.id,
        name=ranked.candidate.name,
        score=ranked.score,
        parts=dict(ranked.parts),
        weights=dict(WEIGHTS),
        open=ranked.candidate.open,
        capacity=ranked.candidate.capacity,
        obstacle=ranked.obstacle,
    )


async def _candidates(conn: Connection, queue: str) -> list[Candidate]:
    found = await repository.members(conn, queue)
    counts = await desk.open_counts(conn, [each.id for each in found])
    return [replace(each, open=counts.get(each.id, 0)) for each in found]
