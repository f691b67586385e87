"""Metrics and traces of this process, in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from monitoring import instruments, tracing
from monitoring.instruments import NAMESPACE
from monitoring.prometheus import PrometheusClient
from monitoring.sampling import KeepWhatMatters, Rule


class Traces:
    """Tracing into memory, `ratio` of it."""

    def __init__(self, ratio: float = 0.0, slow_s: float = 60.0, per_s: float = 1_000) -> None:
        self.exporter = InMemorySpanExporter()
        tracing._sampling = KeepWhatMatters(SimpleSpanProcessor(self.exporter), Rule(ratio, slow_s, per_s))

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """By name; of several the last to end."""
        return {span.name: span for span in self.exporter.get_finished_spans()}


class Figures:
    def __init__(self, backend: PrometheusClient) -> None:
        self.backend = backend

    def __call__(self, name: str, **labels: str) -> float:
        """A sample's value, 0 where there is none."""
        return self.backend.registry.get_sample_value(NAMESPACE + name, labels) or 0.0

    def labels(self, name: str, label: str) -> set[str]:
        """Every value that a label of a metric has."""
        samples = [sample for metric in self.backend.registry.collect() for sample in metric.samples]
        return {sample.labels[label] for sample in samples if sample.name == NAMESPACE + name}


@contextmanager
def figures() -> Iterator[Figures]:
    backend = PrometheusClient()
    instruments.use(backend)
    try:
        yield Figures(backend)
    finally:
        instruments.use(None)
