"""Ray for a pipeline: this home's cluster where one runs, else one of its own that ends with the process."""

import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from config.environment import CHECKOUT

OBJECT_STORE_BYTES = 128 << 20


@contextmanager
def connected(home: Path) -> Iterator[int]:
    """Connect to Ray, that of `RAY_ADDRESS` first; yields how many embedders may work at once.

    Beside a running service that is one, so that its users do not wait.
    """
    address = os.environ.get("RAY_ADDRESS") or running(home)
    folder = None if address else tempfile.mkdtemp(prefix="es-ray-", dir="/tmp")  # short: it holds sockets
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its warnings are for Ray's own developers
    options = {"address": address} if address else _own(Path(str(folder)))
    try:
        ray.init(
            **options,
            logging_level=logging.ERROR,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}},
        )
        _quiet()
        yield 1 if address else max(1, min(4, os.cpu_count() or 1))
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def running(home: Path) -> str | None:
    """The address of this home's cluster, if one answers there."""
    record = home / "run" / "ray.json"
    if not record.is_file():
        return None
    address = str(json.loads(record.read_text())["address"])
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return address
    except OSError:
        return None


def _own(folder: Path) -> dict[str, object]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    return {
        "num_cpus": max(2, os.cpu_count() or 1),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(folder),
    }


def _quiet() -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 4 << 20  # small blocks: embedding starts while files are still read
    logging.getLogger("ray.data").setLevel(logging.ERROR)
