"""How long each stage of a retrieval took, and what was down."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from monitoring import metrics, tracing


@dataclass(slots=True)
class Trace:
    latency_ms: dict[str, float] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Stages of one name that overlap count as the longest of them."""
        start = time.perf_counter()
        try:
            with tracing.span(f"retrieval {name}", {"eservice.stage": name}):
                yield
        finally:
            took = 1000 * (time.perf_counter() - start)
            metrics.RETRIEVAL_STAGE.observe(took / 1000, stage=name)
            self.latency_ms[name] = round(max(took, self.latency_ms.get(name, 0.0)), 2)

    def degrade(self, part: str) -> None:
        if part not in self.degraded:
            metrics.RETRIEVAL_DEGRADED.add(part=part)
            self.degraded.append(part)
