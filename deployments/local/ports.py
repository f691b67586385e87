"""The ports of one home's Ray cluster and HAProxy, so that checkouts run side by side."""

import contextlib
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from config.embedded.child import free_port, is_free


@dataclass(frozen=True, slots=True)
class Ports:
    """All on loopback; chosen free once for a home and kept, so that addresses stay the same."""

    gcs: int
    node_manager: int
    object_manager: int
    runtime_env_agent: int
    dashboard: int
    dashboard_agent: int
    dashboard_agent_grpc: int
    metrics_export: int
    haproxy_metrics: int
    haproxy_stats: int
    ray_client: int
    fallback_http: int
    fallback_grpc: int


def load(file: Path, *, free: bool) -> Ports:
    """The ports of this home; new ones where there are none yet or, if asked for `free`, one is taken."""
    if file.exists():
        with contextlib.suppress(ValidationError):  # written by another version
            ports = TypeAdapter(Ports).validate_json(file.read_bytes())
            if not free or all(is_free(getattr(ports, field.name)) for field in fields(Ports)):
                return ports
    ports = Ports(*_free_ports(len(fields(Ports))))
    file.write_bytes(TypeAdapter(Ports).dump_json(ports))
    return ports


def _free_ports(count: int) -> set[int]:
    """Below those the system hands out: Ray's own connections would take one while it starts."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return ports
