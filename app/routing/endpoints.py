"""/api/v1/routing. For agents and above."""

import asyncio

from fastapi import APIRouter

from app import db
from app.auth.access import Staff
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.routing import service
from app.routing.schemas import Agents, Preview, PreviewRequest, Queues, Skills
from app.state import Current

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


@router.post("/preview", responses=documented(Invalid))
async def preview(wish: PreviewRequest, who: Staff, state: Current) -> Preview:
    """Triage a text and rank the agents for it, with every part of their scores. Changes nothing."""
    try:
        async with asyncio.timeout(TRIAGE_S):
            triage = await state.triager.triage(wish.subject, wish.body)
    except TimeoutError as error:
        raise TriageDown from error
    async with db.transaction(state.pool) as conn:
        return await service.preview(conn, triage)
