"""What people write in tickets, sealed: all of it is the ticket's customer's, also what agents write."""

import json
from collections.abc import Mapping
from typing import cast
from uuid import UUID

from pydantic import JsonValue

from app.auth.sealed import NAME
from app.db import Connection
from app.vault import service as vault
from app.vault.service import ERASED, Fields, Vault
from app.vault.tables import Table

OF_TICKET = "(SELECT t.customer_id FROM tickets t WHERE t.id = ticket_id)"

TICKETS = Table("tickets", "subject", "body", "custom", person="customer_id")
MESSAGES = Table("ticket_messages", "body", person=OF_TICKET)
RATINGS = Table("ticket_csat", "comment", person=OF_TICKET, key="ticket_id")
ATTACHMENTS = Table("ticket_attachments", "name", "url", person=OF_TICKET)

SUBJECT, BODY, CUSTOM = (Vault(TICKETS.place(column)) for column in TICKETS.columns)
FILE_NAME, FILE_URL = (Vault(ATTACHMENTS.place(column)) for column in ATTACHMENTS.columns)
MESSAGE, COMMENT = Vault(MESSAGES.place("body")), Vault(RATINGS.place("comment"))


MINE = "customer_id"
NAMES: Fields = {"customer_name": (NAME, MINE), "assignee_name": (NAME, "assignee_id")}
SUBJECT_AND_BODY: Fields = {"subject": (SUBJECT, MINE), "body": (BODY, MINE)}
OF_TICKETS: Fields = {**NAMES, **SUBJECT_AND_BODY, "custom": (CUSTOM, MINE), "comment": (COMMENT, MINE)}
OF_MESSAGES: Fields = {"body": (MESSAGE, MINE), "author_name": (NAME, "author_id")}
OF_ATTACHMENTS: Fields = {"name": (FILE_NAME, MINE), "url": (FILE_URL, MINE)}


def custom_of(text: str) -> dict[str, JsonValue]:
    """An erased customer's fields are none."""
    return {} if text == ERASED else cast(dict[str, JsonValue], json.loads(text))


def custom_text(custom: Mapping[str, JsonValue]) -> str:
    return json.dumps(custom, ensure_ascii=False)


async def seal(conn: Connection, person: UUID, texts: Mapping[Vault, str | None]) -> list[bytes | None]:
    """In the same order, with one look for the person's key; null stays null."""
    given = [(each, text) for each, text in texts.items() if text is not None]
    made = iter(await vault.seal_all(conn, person, given))
    return [None if text is None else next(made) for text in texts.values()]
