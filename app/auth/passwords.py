"""Argon2id, off the event loop and never more than two at a time: each takes 64 MiB and tens of ms."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Overloaded

MAX_WAITING = 64
T = TypeVar("T")


class TooManyLogins(Overloaded):
    """Too many people are signing in at once; try again in a second."""


class Passwords:
    """Hashes and checks passwords; past `MAX_WAITING` callers it refuses instead of piling up."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()  # argon2-cffi's default is RFC 9106's low-memory profile
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")
        self._waiting = 0

    @functools.cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await self._in_turn(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one; takes as long where there is none, so that nobody can tell."""
        return await self._in_turn(self._verify, stored, password)

    async def _in_turn(self, call: Callable[..., T], *arguments: object) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooManyLogins
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        finally:
            self._waiting -= 1

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
