"""Signing in, staying signed in, signing out."""

import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app import attribution, db
from app.auth import keys_repository, logins_repository, repository
from app.auth.api_keys import PREFIX, ApiKeyInvalid, key_hash
from app.auth.passwords import Passwords
from app.auth.schemas import Identity, Role, TokenPair, User
from app.auth.tokens import AccessTokens, new_refresh_token, refresh_hash
from app.errors import AccountGone, Unauthorised
from app.events import service as events
from app.limits.buckets import Claim
from app.limits.limiter import Limiter, RateLimitExceeded
from app.vault.service import ERASED
from config.limits import Rate

LONGEST_PASSWORD = 1024
KNOWN_S = 0.9
"""How long a replica takes somebody for who they were: a change of role or a revoked key counts within a
second everywhere, and a request that comes sooner costs neither a signature nor a statement (0.7 ms)."""
MOST_KNOWN = 10_000


class WrongCredentials(Unauthorised):
    """The user name or the password is wrong."""


class RefreshInvalid(Unauthorised):
    """The refresh token is unknown, expired or revoked; sign in again."""


class RefreshReused(Unauthorised):
    """This refresh token was used before: every token of that login is revoked, sign in again."""


class TooManyAttempts(RateLimitExceeded):
    """Too many wrong passwords for this account from your address."""


def identity(user: User) -> Identity:
    return Identity(user.id, user.email, user.name, user.role)


class Sessions:
    """Logins: an access token for minutes, a refresh token that changes at every use."""

    def __init__(
        self,
        pool: db.Pool,
        tokens: AccessTokens,
        passwords: Passwords,
        limiter: Limiter,
        *,
        refresh_ttl_s: int,
        failures: Rate,
    ) -> None:
        self.tokens = tokens
        self.passwords = passwords
        self._pool = pool
        self._limiter = limiter
        self._refresh_ttl = timedelta(seconds=refresh_ttl_s)
        self._failures = failures
        self._known: dict[bytes, tuple[float, Identity]] = {}

    async def authenticate(self, token: str) -> Identity:
        """Who sends this access token or API key, with the role they had at most `KNOWN_S` ago."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        until, who = self._known.get(digest, (0.0, None))
        if who is not None and time.monotonic() < until:
            return who
        asked = time.monotonic()
        who = await self._looked_up(token)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = (asked + KNOWN_S, who)
        return who

    def forget(self) -> None:
        """Somebody has changed: this replica looks again, others within `KNOWN_S`."""
        self._known.clear()

    async def _looked_up(self, token: str) -> Identity:
        """One indexed statement."""
        if token.startswith(PREFIX):
            async with db.transaction(self._pool) as conn:
                found = await keys_repository.account(conn, key_hash(token))
            if found is None:
                raise ApiKeyInvalid
            owner, key_id, scopes = found
            return Identity(owner.id, None, None, owner.role, key_id, scopes)
        user_id = self.tokens.read(token)
        async with db.connection(self._pool) as conn:
            known = await repository.account(conn, user_id)
        if known is None or not known.active:
            raise AccountGone
        return Identity(known.id, None, None, known.role)

    async def sign_in(self, email: str, password: str, address: str) -> TokenPair:
        return await self.open(await self.prove(email, password, address))

    async def prove(self, email: str, password: str, address: str) -> User:
        """Whose password it is. No connection is held while it is checked.

        Wrong passwords cost, for one account from one address: whoever tries from elsewhere, also the owner,
        is not locked out by them.
        """
        attempt = self._attempt(email, address)
        standing = await self._limiter.take([attempt])
        if not standing.allowed:
            raise TooManyAttempts(standing)
        user = await self._with_password(email, password)
        await self._limiter.take([replace(attempt, cost=-1)])  # only wrong ones cost
        return user

    async def open(self, user: User) -> TokenPair:
        """A new login of somebody whose identity is established."""
        attribution.act(replace(attribution.current(), actor=f"user:{user.id}"))
        async with db.transaction(self._pool) as conn:
            family_id = await logins_repository.begin(conn, user)
            if family_id is None:
                raise WrongCredentials
            return await self._issue(conn, user, family_id)

    async def _with_password(self, email: str, password: str) -> User:
        if "\x00" in email or len(password) > LONGEST_PASSWORD:
            raise WrongCredentials
        async with db.transaction(self._pool) as conn:
            user = await repository.user_by_email(conn, email)
        stored = user.password_hash if user and user.active else None
        if not await self.passwords.verify(stored, password) or user is None:
            raise WrongCredentials
        return user

    def _attempt(self, email: str, address: str) -> Claim:
        holder = hashlib.sha256(f"{email.lower()}|{address}".encode(errors="replace")).hexdigest()[:32]
        return Claim("failed-sign-in", holder, self._failures)

    async def refresh(self, token: str) -> TokenPair:
        """A new pair for the newest refresh token of a login; an older one revokes the whole login."""
        async with db.transaction(self._pool) as conn:
            found = await logins_repository.family_of(conn, refresh_hash(token))
            if found is None:
                raise RefreshInvalid
            family_id, user_id, live, used = found
            if not used:
                user = await repository.user_by_id(conn, user_id)
                if not live or user is None or not user.active:
                    raise RefreshInvalid
                await logins_repository.mark_used(conn, refresh_hash(token))
                return await self._issue(conn, user, family_id)
            await logins_repository.end(conn, family_id)
        raise RefreshReused

    async def sign_out(self, token: str) -> None:
        async with db.transaction(self._pool) as conn:
            if found := await logins_repository.family_of(conn, refresh_hash(token)):
                family_id, user_id, *_ = found
                await db.attribute(conn, replace(attribution.current(), actor=f"user:{user_id}"))
                await logins_repository.end(conn, family_id)

    async def _issue(self, conn: db.Connection, user: User, family_id: UUID) -> TokenPair:
        refresh = new_refresh_token()
        expires_at = datetime.now(UTC) + self._refresh_ttl
        await logins_repository.add_refresh(conn, refresh_hash(refresh), family_id, expires_at)
        access = self.tokens.issue(identity(user))
        return TokenPair(access_token=access, refresh_token=refresh, expires_in=self.tokens.ttl_s)


async def ensure_user(
    conn: db.Connection, email: str, name: str, role: Role, *, password_hash: str | None = None
) -> UUID:
    """Make the user, or bring name, role and, where given, password up to date."""
    user_id = await repository.upsert_user(conn, email, name, role)
    await events.publish(conn, "user", user_id, "written", "system:auth", {})
    if password_hash:
        await repository.set_password(conn, user_id, password_hash)
    return user_id


async def find(conn: db.Connection, email: str) -> Identity | None:
    user = await repository.user_by_email(conn, email)
    return identity(user) if user else None


async def name_of(conn: db.Connection, user_id: UUID) -> str:
    """What they are called; `ERASED` where nobody can say any more."""
    user = await repository.user_by_id(conn, user_id)
    return user.name if user else ERASED


async def known(conn: db.Connection, user_id: UUID) -> Identity | None:
    """Somebody who does not ask themselves."""
    user = await repository.user_by_id(conn, user_id)
    return identity(user) if user else None
