"""Finding the right person for a ticket, and saying why."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from uuid import UUID

from app.db import Connection
from app.jobs import service as jobs
from app.routing import repository, rules_repository
from app.routing.rules import Rule, applied, first_fitting
from app.routing.schemas import Agent, Preview, PreviewRequest, Probable, Queue, Score, Skill, TriageOut
from app.routing.scoring import WEIGHTS, Candidate, Need, Ranked, best, rank
from app.sla import service as sla
from app.tickets import desk
from app.tickets.schemas import BacklogJob, Decision, Ticket
from app.tickets.service import ASSIGN_BACKLOG
from app.tickets.states import ENDED
from app.triage import questions
from app.triage import service as versions
from app.triage.questions import Found
from config.profile import AskingSettings
from models.triage.asking import Answer, Option
from models.triage.protocol import Triage

ASK_LLM = "triage_ask_llm"
"""The job that asks about one ticket."""

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
    decided = await _with_a_queue(conn, applied(rule, decided))
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


async def settle(
    conn: Connection, ticket_id: UUID, triage: Triage, limits: AskingSettings | None = None
) -> None:
    """Write what triage decided, and give the ticket to the best free agent of its queue.

    Within `limits` an LLM is asked about an intent that triage does not know. Where the queue is not known
    either, the ticket waits those seconds for the answer; `settle_asked` goes on from there.
    """
    ticket = await desk.lock(conn, ticket_id)
    if ticket is None:
        return
    decided = decision(triage)
    rule = await _rule(conn, decided, ticket.tags, ticket.subject, ticket.body)
    decided = applied(rule, decided)
    await versions.record(conn, ticket_id, triage)
    asks = limits is not None and await questions.take(conn, ticket_id, triage, limits)
    if asks:
        await jobs.enqueue(conn, ASK_LLM, {"ticket_id": str(ticket_id)}, dedupe_key=str(ticket_id))
    waits = asks and decided.queue is None and ticket.queue is None
    await desk.record_triage(conn, ticket_id, decided if waits else await _with_a_queue(conn, decided))
    if waits:
        await desk.note_waiting(conn, ticket_id, "an LLM is asked about labels that triage cannot know yet")
    else:
        await _hand_out(conn, ticket_id)


async def settle_asked(
    conn: Connection, ticket_id: UUID, answer: Answer, options: Sequence[Option], least: float
) -> None:
    """Write what the LLM said, if its word has been good often enough, and find somebody."""
    ticket = await desk.lock(conn, ticket_id)
    if ticket is None:
        return
    found = await questions.judged(conn, ticket_id, answer, options, least)
    if ticket.triage is not None and (found is not None or ticket.queue is None):
        record = TriageOut.model_validate(ticket.triage)
        decided = await _with_a_queue(conn, _answered(ticket, record, found))
        rule = await _rule(conn, decided, ticket.tags, ticket.subject, ticket.body)
        await desk.record_triage(conn, ticket_id, applied(rule, decided))
    await _hand_out(conn, ticket_id)


def _answered(ticket: Ticket, record: TriageOut, found: Found | None) -> Decision:
    """What triage said before, with the LLM's label where there is one."""
    if found is not None:
        label = Probable(name=found.label.name, probability=found.label.probability)
        queue = Probable(name=found.queue, probability=label.probability) if found.queue else record.queue
        reasons = [found.reason, *record.reasons]
        record = record.model_copy(
            update={"intent": label, "queue": queue, "reasons": reasons, "source": "llm"}
        )
    return _decision(record)


async def _with_a_queue(conn: Connection, decided: Decision) -> Decision:
    """What nobody knows a queue for goes where people sort it, if there is such a queue."""
    queue = decided.queue or await repository.queue_of_unknown(conn)
    return decided.model_copy(update={"queue": queue})


async def _hand_out(conn: Connection, ticket_id: UUID) -> None:
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
        decided = decision(triage)
        ended = ticket.status in ENDED
        await desk.record_triage(conn, ticket_id, decided if ended else await _with_a_queue(conn, decided))
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
    why = score(chosen).model_dump(mode="json", exclude={"name"})  # kept for good, unlike the agent
    await desk.assign(conn, ticket.id, chosen.candidate.id, why)
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
    return _decision(triage_out(triage))


def _decision(record: TriageOut) -> Decision:
    return Decision(
        queue=record.queue.name if record.queue else None,
        intent=record.intent.name if record.intent else None,
        language=record.language.name,
        sentiment=record.sentiment,
        priority=record.priority,
        record=record.model_dump(mode="json"),
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
