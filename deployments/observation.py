"""What every replica sets up so that it can be watched: Ray's exporter behind our metrics, logs, traces."""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from ray import serve
from ray.util.metrics import Counter, Gauge, Histogram

from monitoring import instruments, logs, tracing
from monitoring import metrics as declared  # noqa: F401  (a declaration is made by being imported)
from monitoring.instruments import Declaration, Series

Record: TypeAlias = Callable[[float, dict[str, str]], None]

DEPLOYMENT = "deployment"
MOST_GATHERED = 64
"""Observations: 0.2 ms of work at once."""
GATHERED_S = 0.5
"""For at most so long; Prometheus asks far less often."""


class RayExporter:
    """Implements `Backend` with `ray.util.metrics`: one scrape of each node has every replica on it.

    Recording costs 2.5 µs (counter) to 3.5 µs (histogram with four labels) in a loop of nothing else, and
    several times that in the midst of a request, where none of that code is in the processor's caches. So
    what is counted and observed is gathered, and recorded some at a time.
    """

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self._gathered: deque[tuple[Record, float, dict[str, str]]] = deque()
        threading.Thread(target=self._hand_over_now_and_then, name="metrics", daemon=True).start()
        atexit.register(self.hand_over)

    def series(self, declaration: Declaration) -> Series:
        keys = (*declaration.labels, DEPLOYMENT)
        name, text = declaration.exported, declaration.description
        match declaration.kind:
            case "counter":
                counter = Counter(name, text, keys).set_default_tags({DEPLOYMENT: self.deployment})
                return _Gathered(self, counter._record)  # inc() refuses the 0 that a series begins with
            case "gauge":
                return _Gauge(Gauge(name, text, keys).set_default_tags({DEPLOYMENT: self.deployment}))
        metric = Histogram(name, text, list(declaration.buckets), keys)
        return _Gathered(self, metric.set_default_tags({DEPLOYMENT: self.deployment}).observe)

    def gather(self, record: Record, value: float, labels: dict[str, str]) -> None:
        self._gathered.append((record, value, labels))
        if len(self._gathered) >= MOST_GATHERED:
            self.hand_over()

    def hand_over(self) -> None:
        """Record what is gathered; from any thread."""
        while True:
            try:
                record, value, labels = self._gathered.popleft()
            except IndexError:
                return
            record(value, labels)

    def _hand_over_now_and_then(self) -> None:
        while True:
            time.sleep(GATHERED_S)
            self.hand_over()


class _Gathered:
    def __init__(self, exporter: RayExporter, record: Record) -> None:
        self.exporter = exporter
        self._record = record

    def record(self, value: float, labels: dict[str, str]) -> None:
        self.exporter.gather(self._record, value, labels)


class _Gauge:
    def __init__(self, metric: Gauge) -> None:
        self.metric = metric

    def record(self, value: float, labels: dict[str, str]) -> None:
        self.metric.set(value, labels)


def set_up() -> None:
    """Call it first in a deployment's constructor."""
    replica = serve.get_replica_context()
    logs.set_up(deployment=replica.deployment, replica=replica.replica_id.unique_id)
    tracing.set_up(f"eservice-{replica.deployment.lower()}", replica.replica_id.unique_id, os.environ)
    instruments.use(RayExporter(replica.deployment))
