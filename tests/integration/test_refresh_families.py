"""The life of refresh tokens, driven at random and at once: a model of it knows what has to happen."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app import cache, db
from app.auth import repository, users
from app.auth.passwords import Passwords
from app.auth.schemas import Identity, TokenPair, UserPatch
from app.auth.service import RefreshInvalid, RefreshReused, Sessions
from app.auth.tokens import AccessTokens
from app.limits.limiter import Limiter
from config.embedded.stores import Addresses
from config.keyring import FixedKeys
from config.profile import Profile, load
from tests import factories

PLACES = st.integers(0, 99)
"""Drawn without looking at what there is: who wins a race decides that, and Hypothesis replays its draws."""

T = TypeVar("T")


def at(items: Sequence[T], place: int) -> T:
    return items[place % len(items)]


@dataclass
class Login:
    """What should be true of one family: its newest token works until the login has ended."""

    newest: str
    used: list[str] = field(default_factory=list)
    ended: bool = False

    @property
    def tokens(self) -> list[str]:
        return [*self.used, self.newest]


@dataclass
class Desk:
    """One database and one loop for all examples."""

    pool: db.Pool
    sessions: Sessions
    admin: Identity
    run: Callable[[Coroutine[Any, Any, Any]], Any]


class RefreshTokens(RuleBasedStateMachine):
    desk: Desk

    def __init__(self) -> None:
        super().__init__()
        self.logins: list[Login] = []

    @initialize()
    def somebody(self) -> None:
        async def make() -> Identity:
            async with db.transaction(self.desk.pool) as conn:
                return await factories.person(conn)

        self.who = self.desk.run(make())

    @rule()
    def sign_in(self) -> None:
        async def open_login() -> TokenPair:
            async with db.transaction(self.desk.pool) as conn:
                user = await repository.user_by_id(conn, self.who.id)
            assert user
            return await self.desk.sessions.open(user)

        self.logins.append(Login(self.desk.run(open_login()).refresh_token))

    @precondition(lambda self: self.logins)
    @rule(which=PLACES, callers=st.integers(1, 6))
    def refresh_the_newest(self, which: int, callers: int) -> None:
        """Of several at once one gets a pair; the others are a reuse, and end the login."""
        login = at(self.logins, which)
        answers = self._at_once([self.desk.sessions.refresh(login.newest) for _ in range(callers)])
        pairs = [each for each in answers if isinstance(each, TokenPair)]
        assert len(pairs) == (0 if login.ended else 1)
        if pairs:
            login.used.append(login.newest)
            login.newest = pairs[0].refresh_token
            login.ended = callers > 1
            assert all(isinstance(each, TokenPair | RefreshReused) for each in answers)

    @precondition(lambda self: any(login.used for login in self.logins))
    @rule(which=PLACES, token=PLACES)
    def refresh_an_old_one(self, which: int, token: int) -> None:
        login = at([login for login in self.logins if login.used], which)
        (answer,) = self._at_once([self.desk.sessions.refresh(at(login.used, token))])
        assert isinstance(answer, RefreshReused)
        login.ended = True

    @precondition(lambda self: any(login.used for login in self.logins))
    @rule(which=PLACES)
    def a_thief_and_the_owner_at_once(self, which: int) -> None:
        """Whoever comes first: the login is over, at the latest when both have been."""
        login = at([login for login in self.logins if login.used], which)
        answers = self._at_once(
            [self.desk.sessions.refresh(token) for token in (login.newest, login.used[-1])]
        )
        pairs = [each for each in answers if isinstance(each, TokenPair)]
        assert len(pairs) <= (0 if login.ended else 1)
        if pairs:
            login.used.append(login.newest)
            login.newest = pairs[0].refresh_token
        login.ended = True

    @precondition(lambda self: self.logins)
    @rule(which=PLACES, token=PLACES)
    def sign_out_with_any_of_its_tokens(self, which: int, token: int) -> None:
        login = at(self.logins, which)
        self.desk.run(self.desk.sessions.sign_out(at(login.tokens, token)))
        login.ended = True

    @rule(callers=st.integers(1, 3))
    def strangers(self, callers: int) -> None:
        answers = self._at_once([self.desk.sessions.refresh(f"guess {n}") for n in range(callers)])
        assert all(isinstance(each, RefreshInvalid) for each in answers)

    @rule()
    def disable_and_enable(self) -> None:
        for active in (False, True):
            patch = UserPatch(active=active)
            change = users.change(
                self.desk.pool, self.desk.sessions.passwords, self.desk.admin, self.who.id, patch
            )
            self.desk.run(change)
        for login in self.logins:
            login.ended = True

    @invariant()
    def the_database_agrees(self) -> None:
        if self.logins:
            assert self.desk.run(self._live()) == sum(not login.ended for login in self.logins)

    async def _live(self) -> int:
        """Logins that have exactly one token left that works; more than one would be a hole."""
        async with db.transaction(self.desk.pool) as conn:
            rows = await conn.fetch(
                """
                SELECT count(*) FILTER (WHERE t.used_at IS NULL) AS unused
                  FROM refresh_families f JOIN refresh_tokens t ON t.family_id = f.id
                 WHERE f.user_id = $1 AND f.revoked_at IS NULL GROUP BY f.id
                """,
                self.who.id,
            )
        assert {row["unused"] for row in rows} <= {1}
        return len(rows)

    def _at_once(self, calls: list[Coroutine[Any, Any, TokenPair]]) -> list[TokenPair | BaseException]:
        async def gathered() -> list[TokenPair | BaseException]:
            return await asyncio.gather(*calls, return_exceptions=True)

        answers: list[TokenPair | BaseException] = self.desk.run(gathered())
        return answers


@pytest.mark.parametrize(
    "examples", [25, pytest.param(400, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_refresh_tokens(database_url: str, stores: Addresses, examples: int) -> None:
    """In a thread and a loop of their own: Hypothesis drives it, and is not asynchronous."""
    assert stores.redis_url
    await asyncio.to_thread(_drive, database_url, stores.redis_url, load("test"), examples)


def _drive(database_url: str, redis_url: str, profile: Profile, examples: int) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(db.connect(database_url, max_size=8, statement_timeout_s=10))
        redis = cache.connect(redis_url, timeout_s=2)

        async def boss() -> Identity:
            async with db.transaction(pool) as conn:
                return await factories.person(conn, "admin")

        tokens = AccessTokens(FixedKeys.of("a secret for tests, long enough to be one"), 900)
        sessions = Sessions(
            pool,
            tokens,
            Passwords(),
            Limiter(redis),
            refresh_ttl_s=900,
            failures=profile.limits.failed_sign_in,
        )
        RefreshTokens.desk = Desk(pool, sessions, runner.run(boss()), runner.run)
        try:
            run_state_machine_as_test(
                RefreshTokens,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=25,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(redis.aclose())
            pool.terminate()
