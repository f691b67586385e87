"""A client's `Idempotency-Key`: the same request sent twice makes one thing."""

import hashlib
from uuid import UUID

from pydantic import BaseModel

from app.db import Connection
from app.errors import Invalid


class KeyReused(Invalid):
    """This Idempotency-Key was used before with another request; take a new one."""


async def claim(conn: Connection, user_id: UUID, key: str, request: BaseModel) -> tuple[UUID, bool]:
    """The id of what this key makes, and whether it is still to be made.

    Of two requests at once the second waits here until the first has committed or failed.
    """
    digest = hashlib.sha256(f"{type(request).__name__} {request.model_dump_json()}".encode()).digest()
    row = await conn.fetchrow(
        """
        INSERT INTO idempotency_keys (user_id, key, request_hash) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, key) DO NOTHING
        RETURNING resource_id
        """,
        user_id,
        key,
        digest,
    )
    if row is not None:
        return row["resource_id"], True
    row = await conn.fetchrow(
        "SELECT resource_id, request_hash FROM idempotency_keys WHERE user_id = $1 AND key = $2", user_id, key
    )
    if row is None or row["request_hash"] != digest:
        raise KeyReused
    return row["resource_id"], False
