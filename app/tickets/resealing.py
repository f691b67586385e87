"""Seals what a migration left in the clear in tickets, and lets them be found by their words again."""

from app.db import Connection
from app.tickets import repository
from app.tickets.sealed import ATTACHMENTS, MESSAGES, RATINGS, TICKETS
from app.vault import rotation

TABLES = (TICKETS, MESSAGES, RATINGS, ATTACHMENTS)


async def reseal(conn: Connection, limit: int) -> int:
    """Up to `limit` rows of each table; how many there were."""
    tickets = await rotation.reseal(conn, TICKETS, limit)
    found = [(each.key, each.texts["subject"], each.texts["body"]) for each in tickets if each.readable]
    await repository.set_words(conn, found)
    others = [len(await rotation.reseal(conn, table, limit)) for table in TABLES[1:]]
    return len(tickets) + sum(others)
