"""Users: made, changed and disabled by administrators; everybody changes their own password."""

from uuid import UUID

from app import db
from app.auth import keys_repository, logins_repository, repository
from app.auth.passwords import Passwords
from app.auth.schemas import Identity, PasswordChange, UserDraft, UserOut, UserPatch
from app.auth.service import Sessions, WrongCredentials, ensure_user
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.events import service as events


class UserNotFound(NotFound):
    """There is no such user."""


class EmailTaken(Conflict):
    """There is a user with this e-mail address already."""


class LastAdmin(Conflict):
    """This is the last active administrator; make another one first."""


class AccountErased(Conflict):
    """This person was erased, which nobody can take back: the account does not change any more."""


class PasswordWrong(Invalid):
    """The current password is wrong."""


async def own_account(conn: db.Connection, who: Identity) -> UserOut:
    return await _read(conn, who.id)


async def page(
    conn: db.Connection, who: Identity, after: UUID | None, limit: int
) -> tuple[list[UserOut], UUID | None]:
    """A page of users, oldest first, and the last id if there are more. For administrators."""
    _only_admins(who)
    found = await repository.users(conn, after, limit + 1)
    items = [UserOut.model_validate(user, from_attributes=True) for user in found[:limit]]
    return items, items[-1].id if len(found) > limit else None


async def read(conn: db.Connection, who: Identity, user_id: UUID) -> UserOut:
    if who.id != user_id:
        _only_admins(who)
    return await _read(conn, user_id)


async def add(pool: db.Pool, passwords: Passwords, who: Identity, draft: UserDraft) -> UserOut:
    """No connection is held while the password is hashed."""
    _only_admins(who)
    hashed = await passwords.hash(draft.password.get_secret_value()) if draft.password else None
    async with db.transaction(pool) as conn:
        made = await repository.add_user(conn, draft, hashed)
        if made is None:
            raise EmailTaken
        await events.publish(conn, "user", made.id, "created", f"user:{who.id}", {"role": made.role})
        return UserOut.model_validate(made, from_attributes=True)


async def appoint(pool: db.Pool, passwords: Passwords, email: str, password: str) -> bool:
    """Make somebody an administrator, at the word of whoever holds the database; whether they are new.

    Who is there already keeps their name, gets this password, and is signed out everywhere.
    """
    hashed = await passwords.hash(password)
    async with db.transaction(pool) as conn:
        known = await repository.user_by_email(conn, email)
        name = known.name if known else email.partition("@")[0]
        user_id = await ensure_user(conn, email, name, "admin", password_hash=hashed)
        await repository.change_user(conn, user_id, None, None, active=True)
        await logins_repository.end_all(conn, user_id)
    return known is None


async def change(
    pool: db.Pool, passwords: Passwords, who: Identity, user_id: UUID, patch: UserPatch
) -> UserOut:
    """Whoever is disabled or gets another password is signed out; the keys of who is disabled end too."""
    _only_admins(who)
    hashed = await passwords.hash(patch.password.get_secret_value()) if patch.password else None
    async with db.transaction(pool) as conn:
        loses_admin = patch.active is False or patch.role not in {None, "admin"}
        if loses_admin and await repository.is_last_admin(conn, user_id):
            raise LastAdmin
        if await repository.is_erased(conn, user_id):
            raise AccountErased
        if not await repository.change_user(conn, user_id, patch.name, patch.role, patch.active):
            raise UserNotFound
        if hashed:
            await repository.set_password(conn, user_id, hashed)
        if hashed or patch.active is False:
            await logins_repository.end_all(conn, user_id)
        if patch.active is False:
            await keys_repository.revoke_all(conn, user_id)
        data = patch.model_dump(mode="json", include={"role", "active"}, exclude_none=True)
        await events.publish(conn, "user", user_id, "changed", f"user:{who.id}", data)
        return await _read(conn, user_id)


async def shut_out(conn: db.Connection, who: Identity, user_id: UUID) -> None:
    """Sign somebody out everywhere and for good, at whose word `who` says: they themselves, or an admin's."""
    if who.id != user_id:
        _only_admins(who)
    if await repository.is_last_admin(conn, user_id):
        raise LastAdmin
    if not await repository.change_user(conn, user_id, None, None, active=False):
        raise UserNotFound
    await logins_repository.end_all(conn, user_id)
    await keys_repository.revoke_all(conn, user_id)
    await events.publish(conn, "user", user_id, "changed", f"user:{who.id}", {"active": False})


async def change_password(
    pool: db.Pool, sessions: Sessions, who: Identity, wish: PasswordChange, address: str
) -> None:
    """Signs out every device: whoever knows the old password may be on one of them. API keys stay.

    Guessing it with somebody's access token costs what guessing it at the front door does.
    """
    async with db.transaction(pool) as conn:
        user = await _read(conn, who.id)
    try:
        await sessions.prove(user.email, wish.current.get_secret_value(), address)
    except WrongCredentials as error:
        raise PasswordWrong from error
    hashed = await sessions.passwords.hash(wish.new.get_secret_value())
    async with db.transaction(pool) as conn:
        await repository.set_password(conn, who.id, hashed)
        await logins_repository.end_all(conn, who.id)
        await events.publish(conn, "user", who.id, "password_changed", f"user:{who.id}", {})


async def _read(conn: db.Connection, user_id: UUID) -> UserOut:
    user = await repository.user_by_id(conn, user_id)
    if user is None:
        raise UserNotFound
    return UserOut.model_validate(user, from_attributes=True)


def _only_admins(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden
