"""Calendars and policies from a YAML file, as the local profile has them. What is there already stays."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from app.db import Connection
from app.sla import service
from app.sla.schemas import Promises


class PromisesError(ValueError):
    """The file of calendars and policies cannot be used; the message says which entry and why."""


def read(file: Path) -> Promises:
    try:
        return Promises.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise PromisesError(f"{file}: {error}") from error


async def seed(conn: Connection, file: Path) -> None:
    promises = read(file)
    for calendar in promises.calendars:
        await service.ensure_calendar(conn, calendar)
    for policy in promises.policies:
        await service.ensure_policy(conn, policy)
