"""/api/v1/admin/audit: who changed what, from where and when. For administrators."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.audit import service
from app.audit.schemas import AuditEntries, ChainHead, Filters
from app.auth.access import SignedIn
from app.auth.schemas import Identity
from app.errors import Forbidden, Invalid, Unauthorised, Unavailable, documented
from app.state import Transaction

router = APIRouter(
    prefix="/api/v1/admin/audit",
    tags=["admin"],
    responses=documented(Unauthorised, Forbidden, Invalid, Unavailable),
)


class KeysOpenNothing(Forbidden):
    """What people wrote is opened for somebody who signed in, not for an API key."""


class Wanted(Filters):
    cursor: int | None = Field(None, ge=1, le=2**63 - 1, description="`next_cursor` of the page before")
    limit: int = Field(50, ge=1, le=100)
    opened: bool = Field(
        False, description="with what people wrote, while their keys exist; that it was read is written down"
    )


@router.get("")
async def page(
    who: SignedIn,
    conn: Transaction,
    wanted: Annotated[Wanted, Query()],
) -> AuditEntries:
    """Changes, newest first, by whoever made them: people, jobs, commands, or somebody at the database.

    Each says from which address and because of which request or job, and of each column what it was and what
    it became. Also those of the last second, which are not sealed yet.
    """
    _may(who)
    if wanted.opened and who.key_id:
        raise KeysOpenNothing
    items, last = await service.page(conn, wanted, wanted.cursor, wanted.limit, opened=wanted.opened)
    return AuditEntries(items=items, next_cursor=str(last) if last else None)


@router.get("/head")
async def head(who: SignedIn, conn: Transaction) -> ChainHead:
    """The end of the chain. Whoever keeps it elsewhere can prove later that nothing before it was changed."""
    _may(who)
    found = await service.head(conn)
    count, age_s = await service.waiting(conn)
    return ChainHead(
        anchor=str(found),
        position=found.position,
        hash=found.hash.hex(),
        sealed_at=found.sealed_at,
        unsealed=count,
        oldest_unsealed_s=age_s,
    )


def _may(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
