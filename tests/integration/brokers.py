"""Debian's RabbitMQ, in a folder of its own, on loopback only, gone with its context."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_S = 90.0


def missing() -> str | None:
    """Why RabbitMQ cannot be started here."""
    if not SERVER.exists():
        return f"RabbitMQ is not installed: {SERVER} is missing (apt install rabbitmq-server)"
    return None if shutil.which("epmd") else "Erlang's epmd is missing"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Its address. The name server of Erlang is started beside it: left to itself it would stay behind."""
    epmd_port, port = free_port(), free_port()
    environ = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"es{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
    }
    with (folder / "output").open("wb") as output:
        names = subprocess.Popen(["epmd"], env=environ, stdout=output, stderr=output)
        server = subprocess.Popen([str(SERVER)], env=environ, stdout=output, stderr=output)
        try:
            _wait_for(server, port, folder / "output")
            yield f"amqp://guest:guest@127.0.0.1:{port}/"
        finally:
            for process in (server, names):
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait_for(server: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    end = time.monotonic() + START_S
    while b"completed with" not in output.read_bytes():
        if server.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"RabbitMQ did not start:\n{output.read_text()[-3000:]}")
        time.sleep(0.2)
    socket.create_connection(("127.0.0.1", port), 5).close()
