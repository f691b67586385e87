"""Access tokens: short-lived JWTs, signed with the key that their `kid` names."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from jwt.types import Options

from app.auth.schemas import Identity
from app.errors import Unauthorised
from config.keyring import Keyring

ALGORITHM = "HS256"
ISSUER = "eservice"


class TokenExpired(Unauthorised):
    """The access token has expired; get a new one at /api/v1/auth/refresh."""


class TokenInvalid(Unauthorised):
    """The access token is not valid here."""


class AccessTokens:
    """Issues with the current key, accepts every key of the ring: rotation logs nobody out."""

    def __init__(self, keys: Keyring, ttl_s: int) -> None:
        self._keys = keys
        self.ttl_s = ttl_s

    def issue(self, who: Identity, *, now: datetime | None = None) -> str:
        now = now or datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "sub": str(who.id),
            "email": who.email,
            "name": who.name,
            "role": who.role,
            "iat": now,
            "exp": now + timedelta(seconds=self.ttl_s),
        }
        return self.sign(claims)

    def sign(self, claims: dict[str, Any]) -> str:
        """`claims` signed with the current key, for whoever reads them with `verified`."""
        key = self._keys.current()
        return jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": key.kid})

    def verified(self, token: str, *, issuer: str, require: Sequence[str] = ("exp",)) -> dict[str, Any]:
        """The claims of a token of ours; `jwt.InvalidTokenError` where it is not."""
        key = self._keys.find(str(jwt.get_unverified_header(token).get("kid", "")))
        if key is None:
            raise jwt.InvalidKeyError("no key of that id")
        options: Options = {"require": list(require)}
        claims: dict[str, Any] = jwt.decode(token, key.secret, [ALGORITHM], issuer=issuer, options=options)
        return claims

    def read(self, token: str) -> UUID:
        """Whose the token is; `TokenExpired` or `TokenInvalid`. What they may now, the database knows."""
        try:
            return UUID(self.verified(token, issuer=ISSUER, require=("exp", "iat", "sub"))["sub"])
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired from error
        except (jwt.PyJWTError, KeyError, ValueError, AttributeError) as error:
            raise TokenInvalid from error


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def refresh_hash(token: str) -> bytes:
    """What is stored: the token has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
