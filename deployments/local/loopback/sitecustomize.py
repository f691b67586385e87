"""Loaded by every Python process of the local cluster (it is first on its PYTHONPATH).

Serve's replicas listen for each other on all interfaces, unauthenticated, and take pickles; Ray has no
setting for it. Here the one function through which Ray opens such ports binds them to loopback instead.
"""

import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OPENS_PORTS = "ray._common.tls_utils"


class Loopback(importlib.abc.MetaPathFinder):
    """Patches the module as it is imported, so that processes that do not import it pay nothing."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != OPENS_PORTS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _bind_to_loopback(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _bind_to_loopback(module: ModuleType) -> None:
    bind = module.add_port_to_grpc_server

    def add_port_to_grpc_server(server: object, address: str) -> int:
        host, _, port = address.rpartition(":")
        return int(bind(server, f"{_own_address()}:{port}" if host in {"[::]", "0.0.0.0"} else address))  # noqa: S104

    module.add_port_to_grpc_server = add_port_to_grpc_server


def _own_address() -> str:
    """Where peers look for this process: a second node on a machine has another loopback address."""
    from ray.util import get_node_ip_address

    address = get_node_ip_address()
    return address if address.startswith("127.") else "127.0.0.1"


sys.meta_path.insert(0, Loopback())
