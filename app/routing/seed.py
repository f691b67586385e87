"""Queues and agents from a YAML file, as the local profile has them. Running it again changes nothing."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from app.auth import service as auth
from app.db import Connection
from app.events import service as events
from app.routing import repository, service
from app.routing.schemas import Staffing
from app.tickets.schemas import BacklogJob


class StaffingError(ValueError):
    """The file of queues and agents cannot be used; the message says which entry and why."""


def read(file: Path) -> Staffing:
    try:
        staffing = Staffing.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise StaffingError(f"{file}: {error}") from error
    known = {queue.name for queue in staffing.queues}
    for agent in staffing.agents:
        if unknown := set(agent.queues) - known:
            raise StaffingError(
                f"{file}: {agent.email} works in unknown queues: {', '.join(sorted(unknown))}"
            )
    return staffing


async def seed(conn: Connection, file: Path) -> None:
    """Write the queues and agents of `file`, and hand out what waited for them."""
    staffing = read(file)
    for queue in staffing.queues:
        await events.publish(
            conn, "queue", await repository.upsert_queue(conn, queue), "written", "system:seed", {}
        )
    for agent in staffing.agents:
        user_id = await auth.ensure_user(conn, agent.email, agent.name, "agent")
        await repository.upsert_agent(conn, user_id, agent)
        await events.publish(conn, "agent", user_id, "written", "system:seed", {})
    for queue in staffing.queues:
        await service.wake(conn, BacklogJob(queue=queue.name))
