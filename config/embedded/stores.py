"""The embedded stores of one home: started, shared between processes, watched and stopped."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from config import keyring
from config.embedded import locks, secrets_file
from config.embedded.child import Child, Server, State
from config.embedded.milvus import Milvus
from config.embedded.postgres import Postgres
from config.embedded.valkey import Valkey
from config.embedded.watch import Watch
from config.environment import Environment

ALL = frozenset({"postgres", "valkey", "milvus"})

LOCK_S = 90.0
"""Longer than the slowest start of another process."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stores listen, passwords included; `None` for those that were not wanted."""

    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    milvus_uri: str | None = field(default=None, repr=False)

    def environ(self) -> dict[str, str]:
        """As the environment variables that a process reads them from."""
        named = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "MILVUS_URI": self.milvus_uri,
        }
        return {name: address for name, address in named.items() if address}


@dataclass(frozen=True, slots=True)
class Status:
    """One store as it is now."""

    name: str
    state: State
    pid: int | None
    port: int | None


def unnamed(environment: Environment) -> frozenset[str]:
    """The stores that the environment names no address for."""
    named = {
        "postgres": environment.database_url,
        "valkey": environment.redis_url,
        "milvus": environment.milvus_uri,
    }
    return frozenset(store for store, address in named.items() if not address)


class Stores:
    """The embedded PostgreSQL, Valkey and Milvus Lite of one home; adopts those that already run."""

    def __init__(self, home: Path, *, wanted: frozenset[str] = ALL) -> None:
        if unknown := wanted - ALL:
            raise ValueError(f"no such store: {', '.join(sorted(unknown))}")
        self.home = home.absolute()
        self.wanted = wanted
        self._children: dict[str, Child] = {}
        self._users = locks.Share(self.home / "run" / "stores.users")
        self._watch: Watch | None = None

    def __enter__(self) -> Addresses:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def start(self) -> Addresses:
        """Start what does not run, adopt what does, and count as a user of it until `release`.

        Raises `StoreFailed` with the end of the server's log; what was started for nothing is stopped again.
        """
        self._open()
        try:
            with self._alone():
                self._users.hold()
                self._each(Child.ensure, self.wanted)
        except BaseException:
            self.release()
            raise
        return self.addresses()

    def addresses(self) -> Addresses:
        at = {name: self._children[name].address() for name in self.wanted}
        return Addresses(at.get("postgres"), at.get("valkey"), at.get("milvus"))

    def secret_key(self) -> str:
        """What this home signs its tokens with."""
        self._make_folders()
        return secrets_file.load(self.home).secret_key

    def key_file(self) -> Path:
        """What this home seals personal data with."""
        self._make_folders()
        secrets_file.make_keys(self.home)
        return self.home / keyring.HOME_FILE

    def mend(self) -> None:
        """Start again, on its port, each store that died or hangs."""
        if self._watch:
            self._watch.mend()

    def watch(self, ended: threading.Event) -> None:
        """`mend` twice a second until `ended`; runs in a thread of its own, after `start`."""
        if self._watch:
            self._watch.run(ended)

    def release(self) -> None:
        """Stop using the stores, and stop them if nobody else uses them. Does nothing without a `start`."""
        if not self._users.is_held:
            return
        with self._alone():
            if self._users.leave():
                self._each(Child.stop, ALL)

    def stop(self) -> None:
        """Stop the stores, whoever uses them; watchers in other processes leave them stopped."""
        if not (self.home / "run").exists():
            return
        self._open()
        with self._alone():
            self._each(Child.stop, ALL)
        self.release()

    def destroy(self) -> None:
        """Stop the stores and delete their data, passwords and logs: for homes made to be thrown away."""
        self.stop()
        for name in ("postgres", "valkey", "milvus", "logs", "run"):
            folder = self.home / name
            if folder.is_symlink():
                shutil.rmtree(folder.resolve(), ignore_errors=True)
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)
        for name in ("secrets.json", keyring.HOME_FILE):
            (self.home / name).unlink(missing_ok=True)

    def status(self) -> list[Status]:
        if not (self.home / "run").exists():
            return [Status(name, "stopped", None, None) for name in sorted(self.wanted)]
        self._open()
        return [_status(self._children[name]) for name in sorted(self.wanted)]

    @property
    def _lock_file(self) -> Path:
        return self.home / "run" / "stores.lock"

    def _alone(self) -> AbstractContextManager[int]:
        return locks.exclusive(self._lock_file, timeout_s=LOCK_S)

    def _open(self) -> None:
        if self._children:
            return
        self._make_folders()
        known = secrets_file.load(self.home)
        if "postgres" in self.wanted:
            secrets_file.make_keys(self.home)
        servers: tuple[Server, ...] = (
            Postgres(self.home / "postgres", known.postgres, known.home_id),
            Valkey(self.home / "valkey", known.valkey),
            Milvus(self.home / "milvus", known.milvus),
        )
        self._children = {server.name: Child(server, self.home) for server in servers}
        self._watch = Watch([self._children[name] for name in self.wanted], self._lock_file)

    def _make_folders(self) -> None:
        if not self.home.exists():
            self.home.mkdir(parents=True)
            self.home.chmod(0o755)  # what is private has a private folder or file in it
        for name in ("run", "logs"):
            (self.home / name).mkdir(mode=0o700, exist_ok=True)

    def _each(self, act: Callable[[Child], None], names: frozenset[str]) -> None:
        """`act` on these stores at once; raises the first failure after all have ended."""
        with ThreadPoolExecutor(len(ALL), thread_name_prefix="stores") as pool:
            acts = [pool.submit(act, self._children[name]) for name in names]
        for done in acts:
            done.result()


def _status(child: Child) -> Status:
    record = child.record()
    pid, port = (record.pid, record.port) if record else (None, None)
    return Status(child.server.name, child.state(), pid, port)
