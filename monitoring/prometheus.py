"""Metrics of processes outside Serve's replicas, with prometheus-client: scraped, or pushed when they end."""

import contextlib
from collections.abc import Iterator, Mapping
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    push_to_gateway,
    start_http_server,
)

from monitoring import instruments
from monitoring.instruments import Declaration, Series

PUSH_GATEWAY = "ESERVICE_PUSHGATEWAY"
SCRAPE_PORT = "ESERVICE_METRICS_PORT"
PUSH_TIMEOUT_S = 5


class PrometheusClient:
    """Implements `Backend` over a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for
        self.registry = CollectorRegistry()

    def series(self, declaration: Declaration) -> Series:
        names = tuple(declaration.labels)
        name, text = declaration.exported, declaration.description
        match declaration.kind:
            case "counter":
                return _Counter(Counter(name, text, names, registry=self.registry))
            case "gauge":
                return _Gauge(Gauge(name, text, names, registry=self.registry))
        buckets = declaration.buckets
        return _Histogram(Histogram(name, text, names, buckets=buckets, registry=self.registry))


class _Counter:
    def __init__(self, metric: Counter) -> None:
        self.metric = metric

    def record(self, value: float, labels: dict[str, str]) -> None:
        (self.metric.labels(**labels) if labels else self.metric).inc(value)


class _Gauge:
    def __init__(self, metric: Gauge) -> None:
        self.metric = metric

    def record(self, value: float, labels: dict[str, str]) -> None:
        (self.metric.labels(**labels) if labels else self.metric).set(value)


class _Histogram:
    def __init__(self, metric: Histogram) -> None:
        self.metric = metric

    def record(self, value: float, labels: dict[str, str]) -> None:
        (self.metric.labels(**labels) if labels else self.metric).observe(value)


@contextlib.contextmanager
def batch(job: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Record this process's metrics while it works.

    They can be scraped meanwhile where `ESERVICE_METRICS_PORT` names a port of the loopback, and are pushed
    at the end to the Pushgateway that `ESERVICE_PUSHGATEWAY` names. An unreachable one fails no job.
    """
    gateway, port = environ.get(PUSH_GATEWAY), environ.get(SCRAPE_PORT)
    if not gateway and not port:
        yield
        return
    backend = PrometheusClient()
    instruments.use(backend)
    server: WSGIServer | None = None
    if port:
        server, _ = start_http_server(int(port), addr="127.0.0.1", registry=backend.registry)
    try:
        yield
    finally:
        if gateway:
            with contextlib.suppress(OSError):
                push_to_gateway(gateway, job=job, registry=backend.registry, timeout=PUSH_TIMEOUT_S)
        if server:
            server.shutdown()
        instruments.use(None)
