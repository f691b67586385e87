"""Who may have whose data erased, and the receipt of it. The work itself is a job (`app.privacy.erasing`)."""

from uuid import UUID

from app import db
from app.auth import users
from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, Invalid, NotFound
from app.events import service as events
from app.jobs import service as jobs
from app.privacy import repository
from app.privacy.schemas import Erasure, ErasureJob
from app.state import State

ERASE_PERSON = "erase_person"


class ErasureNotFound(NotFound):
    """There is no such erasure."""


class NotConfirmed(Invalid):
    """This is not your own e-mail address: nothing was erased."""


async def erase(pool: db.Pool, who: Identity, person_id: UUID) -> Erasure:
    """Block the person's sign-in now and remove their data by a job; a second call has the same receipt."""
    _only_admins(who)
    async with db.transaction(pool) as conn:
        return await _erase(conn, who, person_id)


async def erase_oneself(pool: db.Pool, who: Identity, email: str) -> Erasure:
    """For customers; who works at the desk is erased by an administrator, once their work is handed over."""
    if who.is_staff:
        raise Forbidden("An administrator erases the accounts of people who work at the desk.")
    async with db.transaction(pool) as conn:
        own = await users.own_account(conn, who)
        if email.strip().lower() != own.email.lower():
            raise NotConfirmed
        return await _erase(conn, who, who.id)


async def _erase(conn: Connection, who: Identity, person_id: UUID) -> Erasure:
    await users.shut_out(conn, who, person_id)
    receipt, new = await repository.ask(conn, person_id, who.id)
    if new:
        await events.publish(conn, "user", person_id, "erasure_asked", f"user:{who.id}", {})
        payload = ErasureJob(erasure_id=receipt.id).model_dump(mode="json")
        await jobs.enqueue(conn, ERASE_PERSON, payload, dedupe_key=str(receipt.id))
    return receipt


async def may_export(state: State, who: Identity, person_id: UUID) -> None:
    """That `who` may have this person's data, and that there is such a person."""
    _only_admins(who)
    async with db.transaction(state.pool) as conn:
        await users.read(conn, who, person_id)


async def get(conn: Connection, who: Identity, erasure_id: UUID) -> Erasure:
    _only_admins(who)
    found = await repository.get(conn, erasure_id)
    if found is None:
        raise ErasureNotFound
    return found


async def page(
    conn: Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Erasure], UUID | None]:
    """Newest first, and where to go on if there are more."""
    _only_admins(who)
    found = await repository.page(conn, before, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _only_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
