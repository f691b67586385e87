"""A client's `Idempotency-Key`: the same request sent twice makes one thing."""

import hashlib
from uuid import UUID

from pydantic import BaseModel

from app.db import Connection
from app.errors import Invalid
from app.tickets import idempotency_repository as repository


class KeyReused(Invalid):
    """This Idempotency-Key was used before with another request; take a new one."""


async def claim(
    conn: Connection, user_id: UUID, key: str, request: BaseModel, place: str = ""
) -> tuple[UUID, bool]:
    """The id of what this key makes, and whether it is still to be made.

    `place` is what else the request says: the ticket that it is for. Of two requests at once the second
    waits here until the first has committed or failed.
    """
    said = f"{type(request).__name__} {place}{request.model_dump_json()}"
    digest = hashlib.sha256(said.encode()).digest()
    hashed = hashlib.sha256(key.encode()).hexdigest()  # a key is a text of its client's
    made = await repository.claim(conn, user_id, hashed, digest)
    if made:
        return made, True
    before = await repository.claimed(conn, user_id, hashed, digest)
    if before is None:
        raise KeyReused
    return before, False
