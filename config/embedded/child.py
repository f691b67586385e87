"""One server process: started detached, found again by whoever comes later, and never mistaken for another.

The child inherits a locked file. As long as it, or any process it forked, lives, the lock is held; when all
are gone, so is the lock. So "is it running" needs no pid, and the pid that is signalled is checked against
the time its process was born. A server that outlives its supervisor is therefore adopted, not started twice.
"""

import json
import logging
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from config.embedded import account
from config.embedded.locks import exclusive, is_held
from config.embedded.secrets_file import write_private

log = logging.getLogger(__name__)

PORTS = range(21_000, 32_000)
"""Below the range Linux gives to outgoing connections: a client's own port can never sit on a server's."""

LOG_BYTES = 10_000_000
START_S = 45.0
STOP_S = 15.0
HUNG_STOP_S = 3.0
ADOPT_S = 8.0
"""How long a server that runs may stay silent: its supervisor may have died while it was starting."""

INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
"""What a server gets of our environment; keys and passwords in the rest are none of its business."""


State: TypeAlias = Literal["running", "hung", "dead", "stopped"]
"""`dead` should run and does not; `stopped` was stopped on purpose, or never started."""


class StoreFailed(RuntimeError):
    """A server did not start; the message names its log and quotes the end of it."""


class Server(Protocol):
    """What is particular to one server."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def prepare(self) -> None:
        """Make what the server needs on disk. Called before every start."""
        ...

    def launch(self, port: int) -> "Launch": ...

    def answers(self, port: int) -> bool:
        """Whether it does its work; an answer within two seconds or `False`."""
        ...

    def settle(self, port: int) -> None:
        """What is to be done once it answers, after every start."""
        ...

    def address(self, port: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Launch:
    argv: tuple[str, ...]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    account: tuple[int, int] | None = None
    """Numeric user and group to run as; `None` is ours."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a server; without a pid it was stopped on purpose."""

    port: int
    pid: int | None = None
    born: str | None = None


class Child:
    """A server of one home. Its caller holds the home's lock for whatever changes something."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.home = home
        self.log_file = home / "logs" / f"{server.name}.log"
        self._record_file = home / "run" / f"{server.name}.json"
        self._life_file = home / "run" / f"{server.name}.alive"
        self._process: subprocess.Popen[bytes] | None = None

    def record(self) -> Record | None:
        try:
            return Record(**json.loads(self._record_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def is_alive(self) -> bool:
        self._reap()
        return is_held(self._life_file)

    def answers(self) -> bool:
        record = self.record()
        return record is not None and self.server.answers(record.port)

    def state(self) -> State:
        record = self.record()
        if self.is_alive():
            return "running" if self.answers() else "hung"
        return "dead" if record and record.pid is not None else "stopped"

    def address(self) -> str | None:
        record = self.record()
        return self.server.address(record.port) if record else None

    def ensure(self) -> None:
        """Adopt the server that runs, or start one; a server that hangs is stopped and started."""
        if self.is_alive():
            if self._adoptable():
                return
            log.warning("%s runs but does not answer; starting it again", self.server.name)
            self.stop(timeout_s=HUNG_STOP_S)
        self.start()

    def start(self, *, may_move: bool = True) -> None:
        """Start and wait until it answers; on another port where a stranger took ours and we `may_move`."""
        begun = self._log_end()
        with exclusive(self._life_file, timeout_s=STOP_S) as life:
            port = self._choose_port(may_move)
            self.server.prepare()
            self._process = self._spawn(port, life)
        pid = self._process.pid
        self._write(Record(port, pid, born(pid)))
        self._await_answer(self._process, port, begun)
        self.server.settle(port)

    def stop(self, *, timeout_s: float = STOP_S) -> None:
        """Stop it cleanly, or, after `timeout_s`, at once: neither loses what was acknowledged."""
        record = self.record()
        if record is None:
            return
        if self.is_alive() and record.pid is not None:
            self._signal(record, self.server.stop_signal)
            if not self._await_end(timeout_s):
                log.warning("%s did not stop in %.0f s; killing it", self.server.name, timeout_s)
                self._signal(record, signal.SIGKILL)
                self._await_end(STOP_S)
        self._write(Record(record.port))

    def _adoptable(self) -> bool:
        end = time.monotonic() + ADOPT_S
        while not self.answers():
            record = self.record()
            if time.monotonic() > end or record is None or record.pid is None or not self.is_alive():
                return False
            if born(record.pid) != record.born:
                return False
            time.sleep(0.1)
        return True

    def _choose_port(self, may_move: bool) -> int:
        """The port it had before, so that addresses stay true."""
        record = self.record()
        if record is None:
            return free_port()
        if is_free(record.port):
            return record.port
        if not may_move:
            raise StoreFailed(f"port {record.port} of {self.server.name} is taken by another program")
        return free_port()

    def _write(self, record: Record) -> None:
        write_private(self._record_file, json.dumps(asdict(record)))

    def _spawn(self, port: int, life: int) -> "subprocess.Popen[bytes]":
        launch = self.server.launch(port)
        environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
        marks = {"ESERVICE_HOME": str(self.home), "ESERVICE_STORE": self.server.name}
        with self.log_file.open("ab") as output:
            return subprocess.Popen(
                account.running_as(launch.account, launch.argv),
                cwd=launch.cwd,
                env={**environ, **launch.environ, **marks},
                stdin=subprocess.DEVNULL,
                stdout=output,  # a file: a detached server with a pipe would hang whoever reads it
                stderr=output,
                start_new_session=True,
                pass_fds=(life,),
            )

    def _await_answer(self, process: "subprocess.Popen[bytes]", port: int, begun: int) -> None:
        end = time.monotonic() + START_S
        while not self.server.answers(port):
            if process.poll() is not None:
                raise self._failure(f"ended with {process.returncode}", begun)
            if time.monotonic() > end:
                raise self._failure(f"does not answer after {START_S:.0f} s", begun)
            time.sleep(0.02)

    def _await_end(self, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def _signal(self, record: Record, number: signal.Signals) -> None:
        if record.pid is not None and born(record.pid) == record.born:
            with suppress(ProcessLookupError):
                os.kill(record.pid, number)

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    def _log_end(self) -> int:
        """Where this start's lines begin; a long log is put aside first."""
        if not self.log_file.exists():
            return 0
        if self.log_file.stat().st_size > LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
            return 0
        return self.log_file.stat().st_size

    def _failure(self, what: str, begun: int) -> StoreFailed:
        with self.log_file.open("rb") as file:
            file.seek(begun)
            lines = file.read(200_000).decode(errors="replace").splitlines()
        end = "\n".join(lines[-12:])
        return StoreFailed(f"{self.server.name} {what}; the end of {self.log_file}:\n{end}")


def born(pid: int) -> str | None:
    """What tells a process from a later one with the same pid: the boot, and when in it the process began."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of `PORTS` that nobody listens on now."""
    for port in random.sample(PORTS, 200):
        if is_free(port):
            return port
    raise StoreFailed(f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")
