"""Signing in, staying signed in, signing out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from app import db
from app.auth import repository
from app.auth.passwords import Passwords
from app.auth.schemas import Identity, Role, TokenPair, User, UserOut
from app.auth.tokens import AccessTokens, new_refresh_token, refresh_hash
from app.errors import Forbidden, NotFound, Unauthorised
from app.events import service as events


class WrongCredentials(Unauthorised):
    """The user name or the password is wrong."""


class RefreshInvalid(Unauthorised):
    """The refresh token is unknown, expired or revoked; sign in again."""


class RefreshReused(Unauthorised):
    """This refresh token was used before: every token of that login is revoked, sign in again."""


def identity(user: User) -> Identity:
    return Identity(user.id, user.email, user.name, user.role)


class Sessions:
    """Logins: an access token for minutes, a refresh token that changes at every use."""

    def __init__(self, pool: db.Pool, tokens: AccessTokens, passwords: Passwords, refresh_ttl_s: int) -> None:
        self._pool = pool
        self._tokens = tokens
        self._passwords = passwords
        self._refresh_ttl = timedelta(seconds=refresh_ttl_s)

    def read(self, access_token: str) -> Identity:
        return self._tokens.read(access_token)

    async def sign_in(self, email: str, password: str) -> TokenPair:
        """No connection is held while the password is checked."""
        async with db.transaction(self._pool) as conn:
            user = await repository.user_by_email(conn, email)
        stored = user.password_hash if user and user.active else None
        if not await self._passwords.verify(stored, password) or user is None:
            raise WrongCredentials
        async with db.transaction(self._pool) as conn:
            return await self._issue(conn, user, await repository.open_family(conn, user.id))

    async def refresh(self, token: str) -> TokenPair:
        """A new pair for the newest refresh token of a login; an older one revokes the whole login."""
        async with db.transaction(self._pool) as conn:
            found = await repository.family_of(conn, refresh_hash(token))
            if found is None:
                raise RefreshInvalid
            family_id, user_id, live, used = found
            if not used:
                user = await repository.user_by_id(conn, user_id)
                if not live or user is None or not user.active:
                    raise RefreshInvalid
                await repository.mark_used(conn, refresh_hash(token))
                return await self._issue(conn, user, family_id)
            await repository.revoke_family(conn, family_id)
        raise RefreshReused

    async def sign_out(self, token: str) -> None:
        async with db.transaction(self._pool) as conn:
            if found := await repository.family_of(conn, refresh_hash(token)):
                await repository.revoke_family(conn, found[0])

    async def _issue(self, conn: db.Connection, user: User, family_id: UUID) -> TokenPair:
        refresh = new_refresh_token()
        expires_at = datetime.now(UTC) + self._refresh_ttl
        await repository.add_refresh(conn, refresh_hash(refresh), family_id, expires_at)
        access = self._tokens.issue(identity(user))
        return TokenPair(access_token=access, refresh_token=refresh, expires_in=self._tokens.ttl_s)


async def own_account(conn: db.Connection, who: Identity) -> UserOut:
    user = await repository.user_by_id(conn, who.id)
    if user is None:
        raise NotFound
    return UserOut.model_validate(user, from_attributes=True)


async def list_users(
    conn: db.Connection, who: Identity, after: UUID | None, limit: int
) -> tuple[list[UserOut], UUID | None]:
    """A page of users, oldest first, and the last id if there are more. For administrators."""
    if who.role != "admin":
        raise Forbidden
    found = await repository.users(conn, after, limit + 1)
    page = [UserOut.model_validate(user, from_attributes=True) for user in found[:limit]]
    return page, page[-1].id if len(found) > limit else None


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


async def known(conn: db.Connection, user_id: UUID) -> Identity | None:
    """Somebody who does not ask themselves."""
    user = await repository.user_by_id(conn, user_id)
    return identity(user) if user else None
