"""Access tokens: short-lived JWTs, signed with the key that their `kid` names."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from app.auth.schemas import Identity
from app.errors import Unauthorised

ALGORITHM = "HS256"
ISSUER = "eservice"


class TokenExpired(Unauthorised):
    """The access token has expired; get a new one at /api/v1/auth/refresh."""


class TokenInvalid(Unauthorised):
    """The access token is not valid here."""


class AccessTokens:
    """Issues with the first secret, accepts any: a new one in front rotates without logging anybody out."""

    def __init__(self, secrets_newest_first: list[str], ttl_s: int) -> None:
        self._keys = {key_id(secret): secret for secret in secrets_newest_first}
        self._current = key_id(secrets_newest_first[0])
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
        return jwt.encode(claims, self._keys[self._current], ALGORITHM, headers={"kid": self._current})

    def read(self, token: str) -> Identity:
        """Who the token speaks for; `TokenExpired` or `TokenInvalid`."""
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise TokenInvalid
            claims = jwt.decode(
                token, key, [ALGORITHM], issuer=ISSUER, options={"require": ["exp", "iat", "sub", "role"]}
            )
            return Identity(UUID(claims["sub"]), claims["email"], claims["name"], claims["role"])
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired from error
        except (jwt.InvalidTokenError, KeyError, ValueError) as error:
            raise TokenInvalid from error


def key_id(secret: str) -> str:
    """A name for a key that says nothing about it."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:12]


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def refresh_hash(token: str) -> bytes:
    """What is stored: the token has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
