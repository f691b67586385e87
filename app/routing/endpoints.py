"""/api/v1/routing. For agents and above."""

import asyncio
from uuid import UUID

from fastapi import APIRouter

from app import db
from app.auth.access import Staff
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.routing import service, staffing
from app.routing.rules import Rule, RuleDraft, Rules
from app.routing.schemas import (
    Agent,
    AgentPatch,
    Agents,
    Preview,
    PreviewRequest,
    Queue,
    Queues,
    QueueSeed,
    Skills,
)
from app.routing.staffing import (
    AgentNotFound,
    QueueExists,
    QueueNotFound,
    RuleExists,
    RuleNotFound,
    UnknownQueue,
)
from app.state import Current, Transaction
from app.tickets.fields import QueueFields
from app.tickets.schemas import QueueName

router = APIRouter(
    prefix="/api/v1/routing",
    tags=["routing"],
    responses=documented(Unauthorised, Forbidden, Unavailable),
)

TRIAGE_S = 10.0


class TriageDown(Unavailable):
    """Triage did not answer in time; try again soon."""


@router.get("/queues")
async def queues(who: Staff, state: Current) -> Queues:
    async def load(conn: db.Connection) -> Queues:
        return Queues(items=await service.queues(conn))

    return await state.read("queues", ("queue", "ticket_counts"), Queues, load)


@router.get("/agents")
async def agents(who: Staff, state: Current) -> Agents:
    async def load(conn: db.Connection) -> Agents:
        return Agents(items=await service.agents(conn))

    return await state.read("agents", ("agent", "user", "queue", "ticket_counts"), Agents, load)


@router.get("/skills")
async def skills(who: Staff, state: Current) -> Skills:
    async def load(conn: db.Connection) -> Skills:
        return Skills(items=await service.skills(conn))

    return await state.read("skills", ("agent",), Skills, load)


@router.post("/queues", status_code=201, responses=documented(Invalid, QueueExists))
async def add_queue(draft: QueueSeed, who: Staff, conn: Transaction) -> Queue:
    """For supervisors and admins."""
    return await staffing.add_queue(conn, who, draft)


@router.get("/queues/{name}/fields", responses=documented(Invalid, QueueNotFound))
async def queue_fields(name: QueueName, who: Staff, conn: Transaction) -> QueueFields:
    """What this queue wants to know of its tickets, in `custom`."""
    return QueueFields(fields=await staffing.queue_fields(conn, name))


@router.put("/queues/{name}/fields", responses=documented(Invalid, QueueNotFound))
async def replace_fields(name: QueueName, wish: QueueFields, who: Staff, conn: Transaction) -> QueueFields:
    """Values are checked when somebody writes them; required ones when the ticket is resolved."""
    return QueueFields(fields=await staffing.replace_fields(conn, who, name, wish))


@router.patch("/agents/{agent_id}", responses=documented(Invalid, AgentNotFound, UnknownQueue))
async def change_agent(agent_id: UUID, wish: AgentPatch, who: Staff, conn: Transaction) -> Agent:
    """Agents say whether they are there; supervisors and admins change everything, of everybody."""
    return await staffing.change_agent(conn, who, agent_id, wish)


@router.get("/rules")
async def rules(who: Staff, state: Current) -> Rules:
    """In the order they are asked; the first that fits has the last word over triage."""

    async def load(conn: db.Connection) -> Rules:
        return Rules(items=await staffing.rules(conn))

    return await state.read("routing_rules", ("routing_rule",), Rules, load)


@router.post("/rules", status_code=201, responses=documented(Invalid, RuleExists, UnknownQueue))
async def add_rule(draft: RuleDraft, who: Staff, conn: Transaction) -> Rule:
    """For supervisors and admins."""
    return await staffing.add_rule(conn, who, draft)


@router.put("/rules/{rule_id}", responses=documented(Invalid, RuleNotFound, RuleExists, UnknownQueue))
async def replace_rule(rule_id: UUID, draft: RuleDraft, who: Staff, conn: Transaction) -> Rule:
    """It holds for tickets that are triaged from now on."""
    return await staffing.replace_rule(conn, who, rule_id, draft)


@router.delete("/rules/{rule_id}", status_code=204, responses=documented(Invalid, RuleNotFound))
async def drop_rule(rule_id: UUID, who: Staff, conn: Transaction) -> None:
    await staffing.drop_rule(conn, who, rule_id)


@router.post("/preview", responses=documented(Invalid))
async def preview(wish: PreviewRequest, who: Staff, state: Current) -> Preview:
    """Triage a text and rank the agents for it, with every part of their scores. Changes nothing."""
    try:
        async with asyncio.timeout(TRIAGE_S):
            triage = await state.triager.triage(wish.subject, wish.body)
    except TimeoutError as error:
        raise TriageDown from error
    async with db.transaction(state.pool) as conn:
        return await service.preview(conn, wish, triage)
