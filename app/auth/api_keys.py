"""API keys: for programs, long-lived, within scopes, revoked at once."""

import hashlib
import secrets
from datetime import UTC, datetime
from uuid import UUID

from app.auth import keys_repository as repository
from app.auth.schemas import ApiKey, ApiKeyDraft, ApiKeyMade, Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorised
from app.events import service as events

PREFIX = "esk_"
SHOWN = len(PREFIX) + 6
MOST_KEYS = 50


class ApiKeyInvalid(Unauthorised):
    """This API key is unknown, expired or revoked."""


class ApiKeyNotFound(NotFound):
    """There is no such API key, or it is not yours."""


class TooManyApiKeys(Conflict):
    """You have 50 API keys; revoke one that is no longer used."""


class ExpiryPassed(Invalid):
    """`expires_at` lies in the past."""


class KeysMakeNoKeys(Forbidden):
    """API keys are managed with an access token, not with an API key."""


def key_hash(key: str) -> bytes:
    """What is stored: a key has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def make(conn: Connection, who: Identity, draft: ApiKeyDraft) -> ApiKeyMade:
    """A new key, in the only answer that ever shows it."""
    if who.key_id:
        raise KeysMakeNoKeys
    if draft.expires_at and draft.expires_at <= datetime.now(UTC):
        raise ExpiryPassed
    if await repository.live(conn, who.id) >= MOST_KEYS:
        raise TooManyApiKeys
    key = PREFIX + secrets.token_urlsafe(32)
    made = await repository.add(conn, who.id, draft, key_hash(key), key[:SHOWN])
    await events.publish(conn, "api_key", made.id, "created", f"user:{who.id}", {"scopes": [*made.scopes]})
    return ApiKeyMade(**made.model_dump(), key=key)


async def page(
    conn: Connection, who: Identity, user_id: UUID | None, before: UUID | None, limit: int
) -> tuple[list[ApiKey], UUID | None]:
    """Newest first, also those revoked. Administrators may look at anybody's."""
    if user_id not in {None, who.id} and who.role != "admin":
        raise Forbidden
    found = await repository.page(conn, user_id or who.id, before, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def revoke(conn: Connection, who: Identity, key_id: UUID) -> None:
    """It is refused from the next request on. Administrators may revoke anybody's."""
    if who.key_id:
        raise KeysMakeNoKeys
    owner = None if who.role == "admin" else who.id
    if not await repository.revoke(conn, key_id, owner):
        raise ApiKeyNotFound
    await events.publish(conn, "api_key", key_id, "revoked", f"user:{who.id}", {})
