"""Seals what a migration left in the clear of users."""

from app.auth import repository
from app.auth.sealed import USERS
from app.db import Connection
from app.vault import rotation

TABLES = (USERS,)


async def reseal(conn: Connection, limit: int) -> int:
    """Up to `limit` users, who are found by the hash of their address from then on; how many they were."""
    found = await rotation.reseal(conn, USERS, limit)
    for each in found:
        if each.readable:
            await repository.set_email_hash(conn, each.key, each.texts["email"])
    return len(found) + await repository.hash_subjects(conn, limit)
