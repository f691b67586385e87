"""Who works at the desk and by which rules: what people change while it runs."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import JsonValue

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import service as events
from app.routing import repository, rules_repository, service
from app.routing.rules import Rule, RuleDraft
from app.routing.schemas import Agent, AgentPatch, Queue, QueueSeed
from app.tickets import desk, fields
from app.tickets.fields import QueueField, QueueFields
from app.tickets.schemas import BacklogJob
from app.tickets.service import actor


class AgentNotFound(NotFound):
    """There is no agent of this id; GET /api/v1/routing/agents lists them."""


class QueueNotFound(NotFound):
    """There is no queue of this name; GET /api/v1/routing/queues lists them."""


class QueueExists(Conflict):
    """There is a queue of this name already."""


class RuleNotFound(NotFound):
    """There is no such rule."""


class RuleExists(Conflict):
    """There is a rule of this name already."""


class UnknownQueue(Invalid):
    """There is no queue of this name; GET /api/v1/routing/queues lists them."""


async def change_agent(conn: Connection, who: Identity, agent_id: UUID, wish: AgentPatch) -> Agent:
    """Agents say of themselves whether they are there; supervisors change the rest, of everybody.

    Whoever is there again, or has more room, gets what waits.
    """
    given = wish.model_dump(exclude_none=True)
    if who.role == "agent" and (agent_id != who.id or set(given) - {"present"}):
        raise Forbidden("Agents change their own presence; supervisors everything.")
    for name in wish.queues or ():
        if await desk.queue_id(conn, name) is None:
            raise UnknownQueue(f"There is no queue {name!r}; GET /api/v1/routing/queues lists them.")
    if not await repository.change_agent(conn, agent_id, wish):
        raise AgentNotFound
    shown: Mapping[str, JsonValue] = wish.model_dump(mode="json", exclude_none=True)
    await events.publish(conn, "agent", agent_id, "changed", actor(who), shown)
    await service.wake(conn, BacklogJob(agent_id=agent_id))
    return next(agent for agent in await service.agents(conn) if agent.id == agent_id)


async def add_queue(conn: Connection, who: Identity, draft: QueueSeed) -> Queue:
    _leads(who)
    if await desk.queue_id(conn, draft.name) is not None:
        raise QueueExists
    await repository.upsert_queue(conn, draft)
    made = next(queue for queue in await service.queues(conn) if queue.name == draft.name)
    await events.publish(conn, "queue", made.id, "written", actor(who), {"name": made.name})
    return made


async def queue_fields(conn: Connection, queue: str) -> list[QueueField]:
    if await desk.queue_id(conn, queue) is None:
        raise QueueNotFound
    return await fields.of_queue(conn, queue)


async def replace_fields(conn: Connection, who: Identity, queue: str, wish: QueueFields) -> list[QueueField]:
    """Values that tickets have already stay as they are."""
    queue_id = await desk.queue_id(conn, queue)
    if queue_id is None:
        raise QueueNotFound
    await fields.replace(conn, who, queue_id, wish, actor(who))
    return await fields.of_queue(conn, queue)


async def rules(conn: Connection) -> list[Rule]:
    """In the order they are asked."""
    return await rules_repository.rules(conn)


async def add_rule(conn: Connection, who: Identity, draft: RuleDraft) -> Rule:
    await _checked(conn, who, draft)
    added = await rules_repository.add(conn, draft)
    if added is None:
        raise RuleExists
    await events.publish(conn, "routing_rule", added.id, "written", actor(who), {"name": added.name})
    return added


async def replace_rule(conn: Connection, who: Identity, rule_id: UUID, draft: RuleDraft) -> Rule:
    """It holds for tickets that are triaged from now on."""
    await _checked(conn, who, draft)
    if rule_id not in {rule.id for rule in await rules(conn)}:
        raise RuleNotFound
    replaced = await rules_repository.replace(conn, rule_id, draft)
    if replaced is None:
        raise RuleExists
    await events.publish(conn, "routing_rule", rule_id, "written", actor(who), {"name": replaced.name})
    return replaced


async def drop_rule(conn: Connection, who: Identity, rule_id: UUID) -> None:
    _leads(who)
    if not await rules_repository.drop(conn, rule_id):
        raise RuleNotFound
    await events.publish(conn, "routing_rule", rule_id, "dropped", actor(who), {})


async def _checked(conn: Connection, who: Identity, draft: RuleDraft) -> None:
    _leads(who)
    if draft.actions.queue and await desk.queue_id(conn, draft.actions.queue) is None:
        raise UnknownQueue


def _leads(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise Forbidden
