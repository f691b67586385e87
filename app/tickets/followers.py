"""What else must happen in the transaction of a ticket's change; who stands above them hangs it in here."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias
from uuid import UUID

from app.db import Connection

Happening: TypeAlias = Literal["changed", "customer_message", "reply"]
"""`changed` is anything but a public message: creation, status, priority, queue."""

Follower: TypeAlias = Callable[[Connection, UUID, Happening], Awaitable[None]]

_followers: list[Follower] = []


def follow(follower: Follower) -> Follower:
    """Call `follower` for every change, while the ticket is locked; a decorator, used once at import."""
    _followers.append(follower)
    return follower


async def tell(conn: Connection, ticket_id: UUID, what: Happening) -> None:
    for follower in _followers:
        await follower(conn, ticket_id, what)
