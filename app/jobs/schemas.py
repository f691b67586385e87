"""What a job is, on its way from the change that asks for it to the effect that ends it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from app.db import Connection

JobStatus: TypeAlias = Literal["queued", "running", "done", "dead"]
Payload: TypeAlias = Mapping[str, JsonValue]


class Job(BaseModel):
    """One row of `jobs`. While it runs, `lease_token` says for whom."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    kind: str
    payload: dict[str, JsonValue]
    dedupe_key: str | None
    status: JobStatus
    attempts: int
    run_at: datetime
    lease_token: UUID | None
    lease_until: datetime | None
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None
    origin: dict[str, str] | None = None
    """The trace and the request that it comes from, where it comes from one."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Which jobs a runner takes: `only` those of these kinds, or all but them.

    What waits for other people's servers has a lane of its own, so that nothing of ours waits behind it.
    """

    kinds: tuple[str, ...] = ()
    only: bool = False

    @property
    def others(self) -> "Lane":
        """Everything that this one leaves."""
        return Lane(self.kinds, not self.only)


EVERYTHING = Lane()


Effect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens the one transaction that holds both the effect of a job and its completion."""

Handler: TypeAlias = Callable[[Job, Effect], Awaitable[None]]
"""Does what a job asks: slow work first, without a transaction, then `async with effect() as conn`.

A handler that never calls `effect` has none to write; its job is completed when it returns.
"""
