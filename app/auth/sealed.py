"""What is known of people, sealed under their own keys."""

from app.db import Connection
from app.vault import service as vault
from app.vault.service import Fields, Vault
from app.vault.tables import Table

USERS = Table("users", "email", "name", person="id")
EMAIL, NAME = (Vault(USERS.place(column)) for column in USERS.columns)
OF_USERS: Fields = {"email": (EMAIL, "id"), "name": (NAME, "id")}


SUBJECTS = "federated_identities.subject"
HASHED = "hmac:"
"""How a subject begins that is a hash already."""


async def subject_hash(conn: Connection, issuer: str, subject: str) -> str:
    """By which a person is known who signs in elsewhere."""
    [found] = await vault.hashed(conn, SUBJECTS, [f"{issuer} {subject}"])
    return HASHED + found.hex()


async def email_hash(conn: Connection, email: str) -> bytes:
    """By which an address is found; capitals do not matter."""
    [found] = await vault.hashed(conn, USERS.place("email"), [email.lower()])
    return found
