"""Promises to customers: who may make them, how tickets are held to them, and what follows from neglect."""

from datetime import datetime, timedelta
from uuid import UUID

from pydantic import JsonValue

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import service as events
from app.jobs import service as jobs
from app.sla import repository, rules, settings_repository
from app.sla.clock import BREACH, Clocks, Mark
from app.sla.hours import TooFar, after
from app.sla.schemas import Calendar, CalendarDraft, Policy, PolicyDraft, Prospect, ReachJob, Situation
from app.tickets import desk, followers
from app.tickets.followers import Happening
from app.tickets.schemas import Priority
from app.tickets.service import actor
from app.tickets.states import ENDED
from monitoring import metrics

SLA_REACH = "sla_reach"

SWEEP_BATCH = 50
"""Tickets that one sweep looks at: it holds them locked until all are done, about 1.2 ms each."""


class CalendarNotFound(NotFound):
    """There is no such calendar."""


class PolicyNotFound(NotFound):
    """There is no such policy."""


class CustomerNotFound(NotFound):
    """There is no such customer."""


class CalendarExists(Conflict):
    """There is a calendar of this name already."""


class PolicyExists(Conflict):
    """There is a policy of this name, or for the same priority, queue and tier, already."""


class UnknownCalendar(Invalid):
    """There is no calendar of this name; GET /api/v1/sla/calendars lists them."""


class UnknownQueue(Invalid):
    """There is no queue of this name; GET /api/v1/routing/queues lists them."""


async def calendars(conn: Connection, who: Identity) -> list[Calendar]:
    may_promise(who)
    return await settings_repository.calendars(conn)


async def add_calendar(conn: Connection, who: Identity, draft: CalendarDraft) -> Calendar:
    may_promise(who)
    added = await settings_repository.add_calendar(conn, draft)
    if added is None:
        raise CalendarExists
    await _said(conn, who, "sla_calendar", added)
    return await _calendar(conn, added)


async def replace_calendar(
    conn: Connection, who: Identity, calendar_id: UUID, draft: CalendarDraft
) -> Calendar:
    """Clocks that run count by it within a sweep or two."""
    may_promise(who)
    await _calendar(conn, calendar_id)
    if not await settings_repository.replace_calendar(conn, calendar_id, draft):
        raise CalendarExists
    await _said(conn, who, "sla_calendar", calendar_id)
    await _reach_later(conn)
    return await _calendar(conn, calendar_id)


async def policies(conn: Connection, who: Identity) -> list[Policy]:
    may_promise(who)
    return await settings_repository.policies(conn)


async def add_policy(conn: Connection, who: Identity, draft: PolicyDraft) -> Policy:
    """It holds for new tickets, and within a sweep or two for those that have a running promise."""
    may_promise(who)
    added = await settings_repository.add_policy(conn, draft, *await _named(conn, draft))
    if added is None:
        raise PolicyExists
    await _said(conn, who, "sla_policy", added)
    await _reach_later(conn)
    return await _policy(conn, added)


async def replace_policy(conn: Connection, who: Identity, policy_id: UUID, draft: PolicyDraft) -> Policy:
    may_promise(who)
    await _policy(conn, policy_id)
    if not await settings_repository.replace_policy(conn, policy_id, draft, *await _named(conn, draft)):
        raise PolicyExists
    await _said(conn, who, "sla_policy", policy_id)
    await _reach_later(conn)
    return await _policy(conn, policy_id)


async def ensure_calendar(conn: Connection, draft: CalendarDraft) -> None:
    """Make it unless there is one of its name."""
    await settings_repository.add_calendar(conn, draft)


async def ensure_policy(conn: Connection, draft: PolicyDraft) -> None:
    """Make it unless there is one of its name or for the same tickets."""
    await settings_repository.add_policy(conn, draft, *await _named(conn, draft))


async def set_tier(conn: Connection, who: Identity, customer_id: UUID, tier: str | None) -> None:
    """It counts for the customer's running promises within a sweep or two."""
    may_promise(who)
    if not await settings_repository.set_tier(conn, customer_id, tier):
        raise CustomerNotFound
    await _reach_later(conn, customer_id)


async def sweep(conn: Connection, now: datetime | None = None) -> bool:
    """Let due clocks say what they have to; whether there may be more. One at a time, whoever calls.

    A ticket that somebody is changing right now is left out: that change looks at its clocks itself.
    """
    if not await repository.take_sweep(conn):
        return False
    due = await repository.due(conn, now, SWEEP_BATCH)
    for ticket_id in await desk.lock_free(conn, due):
        await observe(conn, ticket_id, "changed", now=now)
    return len(due) == SWEEP_BATCH


async def left(conn: Connection, ticket_id: UUID) -> timedelta | None:
    """The business time until a promise is broken; null where no clock runs towards one."""
    clocks, calendar = await repository.clocks(conn, ticket_id)
    return rules.left(clocks, calendar.hours(), await repository.moment(conn)) if calendar else None


async def prospect(conn: Connection, queue: str | None, priority: Priority) -> Prospect | None:
    """What would be promised for a ticket made now; null where no policy fits it."""
    found = await repository.prospect(conn, queue, priority)
    if found is None:
        return None
    policy, calendar, now = found
    due = {kind: _after(calendar, now, target) for kind, target in policy.targets().items()}
    left = min(
        target for kind, target in policy.targets().items() if kind != "next_response" or len(due) == 1
    )
    return Prospect(policy=policy.name, due_at=due, left_min=int(left.total_seconds() // 60))


def _after(calendar: Calendar, now: datetime, target: timedelta) -> datetime | None:
    try:
        return after(calendar.hours(), now, target)
    except TooFar:
        return None


@followers.follow
async def keep_clocks(conn: Connection, ticket_id: UUID, what: Happening) -> None:
    await observe(conn, ticket_id, what)


async def observe(conn: Connection, ticket_id: UUID, what: Happening, *, now: datetime | None = None) -> None:
    """Bring a ticket's clocks up to date, and do what the marks they passed ask for.

    The caller holds the ticket locked. Marks are written in the transaction of the clock that passed them,
    so that each is said once, by a sweep or by a person's change, whichever comes first.
    """
    situation = await repository.situation(conn, ticket_id)
    clocks, calendar = await repository.clocks(conn, ticket_id)
    if situation is None or situation.policy is None or situation.calendar is None:
        await repository.drop(conn, ticket_id, [kind for kind, clock in clocks.items() if not clock.ended_at])
        return
    now = now or situation.now
    hours = situation.calendar.hours()
    targets = situation.policy.targets()
    before = calendar.hours() if calendar else hours
    current, marks = rules.follow(clocks, situation.facts, targets, hours, what, now, before=before)
    changed = [clock for kind, clock in current.items() if clocks.get(kind) != clock]
    await repository.save(conn, ticket_id, changed, situation.policy, situation.calendar)
    await repository.keep_results(conn, ticket_id, changed, now)
    if dropped := clocks.keys() - current.keys():
        await repository.drop(conn, ticket_id, dropped)
    for mark in marks:
        await _say(conn, ticket_id, situation, mark)
    for mark in marks:
        await _escalate(conn, ticket_id, situation, mark, current)


async def _say(conn: Connection, ticket_id: UUID, situation: Situation, mark: Mark) -> None:
    kind = "sla_breached" if mark.percent == BREACH else "sla_warning"
    if mark.percent == BREACH:
        metrics.SLA_BREACHES.add_if_committed(clock=mark.kind)
    policy = situation.policy.name if situation.policy else None
    data: dict[str, JsonValue] = {"clock": mark.kind, "percent": mark.percent, "policy": policy}
    await desk.note(conn, ticket_id, "system:sla", kind, data)


async def _escalate(
    conn: Connection, ticket_id: UUID, situation: Situation, mark: Mark, clocks: Clocks
) -> None:
    """Only for a promise that is still open: what was answered needs no help."""
    clock = clocks.get(mark.kind)
    if situation.policy is None or situation.facts.status in ENDED or clock is None or clock.ended_at:
        return
    for escalation in situation.policy.escalations:
        if escalation.at != mark.percent or escalation.clock not in {None, mark.kind}:
            continue
        data = {
            "clock": mark.kind,
            "percent": mark.percent,
            **escalation.model_dump(include={"action", "queue"}),
        }
        await desk.note(conn, ticket_id, "system:sla", "sla_escalated", data)
        if escalation.action == "raise_priority":
            await desk.raise_priority(conn, ticket_id, "system:sla")
        elif escalation.action == "reassign" and escalation.queue:
            await desk.hand_over(conn, ticket_id, escalation.queue, "system:sla")


async def reach(conn: Connection, customer_id: UUID | None) -> None:
    """Let the sweep look at running clocks, of a customer or of all: another promise may hold for them now.

    What stands (`pending`, `on_hold`) takes it up when it runs on.
    """
    await repository.look_again(conn, customer_id)


async def _reach_later(conn: Connection, customer_id: UUID | None = None) -> None:
    """After the commit: who changes a ticket until then reads the promises as they were."""
    payload = ReachJob(customer_id=customer_id).model_dump(mode="json")
    await jobs.enqueue(conn, SLA_REACH, payload, dedupe_key=str(customer_id))


async def _said(conn: Connection, who: Identity, aggregate: str, thing: UUID) -> None:
    await events.publish(conn, aggregate, thing, "written", actor(who), {})


def may_promise(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise Forbidden


async def _calendar(conn: Connection, calendar_id: UUID) -> Calendar:
    found = await settings_repository.calendar(conn, calendar_id)
    if found is None:
        raise CalendarNotFound
    return found


async def _policy(conn: Connection, policy_id: UUID) -> Policy:
    found = await settings_repository.policy(conn, policy_id)
    if found is None:
        raise PolicyNotFound
    return found


async def _named(conn: Connection, draft: PolicyDraft) -> tuple[UUID, UUID | None]:
    """The ids of the calendar and the queue that a policy names; its escalations' queues must exist too."""
    calendar_id = await settings_repository.calendar_id(conn, draft.calendar)
    if calendar_id is None:
        raise UnknownCalendar
    names = {draft.queue, *(escalation.queue for escalation in draft.escalations)} - {None}
    ids = {name: await desk.queue_id(conn, name) for name in sorted(filter(None, names))}
    if None in ids.values():
        raise UnknownQueue
    return calendar_id, ids.get(draft.queue) if draft.queue else None
