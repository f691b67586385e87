"""GET /healthz and /readyz."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeAlias

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app import cache, db
from app.state import Current, State

router = APIRouter(tags=["health"])

CHECK_TIMEOUT_S = 1.5

Condition: TypeAlias = Literal["up", "down", "unmigrated"]


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """`unready` until PostgreSQL is migrated; `degraded` while another part is down."""

    status: Literal["ok", "degraded", "unready"]
    dependencies: dict[str, Condition]


@router.get("/healthz")
async def healthz() -> Alive:
    return Alive()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(state: Current, response: Response) -> Readiness:
    """Whether this replica can serve, and how each part it leans on is."""
    checks: dict[str, Awaitable[object]] = {
        "redis": cache.is_up(state.redis),
        state.retriever.store.name: state.retriever.store.ping(),
        "llm": state.chat_models.is_up(),
    }
    postgresql = asyncio.create_task(_postgresql(state))
    others = await asyncio.gather(*map(_in_time, checks.values()))
    states: dict[str, Condition] = {"postgresql": await postgresql}
    states |= {name: "up" if up else "down" for name, up in zip(checks, others, strict=True)}
    if states["postgresql"] != "up":
        response.status_code, response.headers["Retry-After"] = 503, "2"
        return Readiness(status="unready", dependencies=states)
    return Readiness(status="ok" if all(others) else "degraded", dependencies=states)


async def _in_time(check: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check is not False
    except Exception:  # whatever is wrong with it, it is down
        return False


async def _postgresql(state: State) -> Condition:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), state.pool.acquire() as conn:
            return "up" if await db.is_migrated(conn) else "unmigrated"
    except db.LOST:
        return "down"
