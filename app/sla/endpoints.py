"""/api/v1/sla. For supervisors and admins."""

from uuid import UUID

from fastapi import APIRouter

from app.auth.access import SignedIn
from app.db import Connection
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.sla import service
from app.sla.schemas import Calendar, CalendarDraft, Calendars, Policies, Policy, PolicyDraft, Tier
from app.sla.service import (
    CalendarExists,
    CalendarNotFound,
    CustomerNotFound,
    PolicyExists,
    PolicyNotFound,
    UnknownCalendar,
    UnknownQueue,
)
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1/sla",
    tags=["sla"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


@router.get("/calendars")
async def calendars(who: SignedIn, state: Current) -> Calendars:
    async def load(conn: Connection) -> Calendars:
        return Calendars(items=await service.calendars(conn, who))

    service.may_promise(who)
    return await state.read("sla_calendars", ("sla_calendar",), Calendars, load)


@router.post("/calendars", status_code=201, responses=documented(CalendarExists))
async def add_calendar(draft: CalendarDraft, who: SignedIn, conn: Transaction) -> Calendar:
    """Business hours in a time zone, and the public holidays of a country."""
    return await service.add_calendar(conn, who, draft)


@router.put("/calendars/{calendar_id}", responses=documented(CalendarNotFound, CalendarExists))
async def replace_calendar(
    calendar_id: UUID, draft: CalendarDraft, who: SignedIn, conn: Transaction
) -> Calendar:
    """Running clocks count by it within a minute; those that stand, when they run on."""
    return await service.replace_calendar(conn, who, calendar_id, draft)


@router.get("/policies")
async def policies(who: SignedIn, state: Current) -> Policies:
    async def load(conn: Connection) -> Policies:
        return Policies(items=await service.policies(conn, who))

    service.may_promise(who)
    return await state.read("sla_policies", ("sla_policy", "sla_calendar", "queue"), Policies, load)


@router.post("/policies", status_code=201, responses=documented(PolicyExists, UnknownCalendar, UnknownQueue))
async def add_policy(draft: PolicyDraft, who: SignedIn, conn: Transaction) -> Policy:
    """A promise. Of the policies that fit a ticket the one with the most conditions counts.

    Among equals a condition on the tier counts most, then one on the queue.
    """
    return await service.add_policy(conn, who, draft)


@router.put(
    "/policies/{policy_id}", responses=documented(PolicyNotFound, PolicyExists, UnknownCalendar, UnknownQueue)
)
async def replace_policy(policy_id: UUID, draft: PolicyDraft, who: SignedIn, conn: Transaction) -> Policy:
    """Running clocks are held to it within a minute; those that stand, when they run on."""
    return await service.replace_policy(conn, who, policy_id, draft)


@router.put("/customers/{customer_id}/tier", responses=documented(CustomerNotFound))
async def set_tier(customer_id: UUID, wish: Tier, who: SignedIn, conn: Transaction) -> Tier:
    """Which tier of customers this one belongs to."""
    await service.set_tier(conn, who, customer_id, wish.tier)
    return wish
