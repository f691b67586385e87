"""Metrics: declared once, bounded labels, nothing counted that was not committed."""

from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from models.llm.errors import Reason
from monitoring import instruments, metrics
from monitoring.instruments import DECLARED, OTHER, Declaration, Values
from monitoring.prometheus import PrometheusClient

OF_THE_ISSUE = {
    "api_request_duration_seconds",
    "llm_request_duration_seconds",
    "llm_time_to_first_token_seconds",
    "llm_token_usage",
    "llm_cost_usd",
    "cache_hits",
    "cache_requests",
    "queue_latency_seconds",
    "queue_depth",
    "database_query_duration_seconds",
    "retrieval_stage_duration_seconds",
    "retrieval_score",
    "answers_abstained",
    "answers_ungrounded",
    "tickets_created",
    "sla_breaches",
    "assignments",
}


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    backend = PrometheusClient()
    instruments.use(backend)
    yield backend
    instruments.use(None)


def test_every_metric_of_the_design_is_declared() -> None:
    assert set(DECLARED) >= OF_THE_ISSUE


def test_every_way_an_attempt_can_end_is_an_outcome() -> None:
    """Else it would be counted as `other`."""
    ways = {*get_args(Reason), "answered", "abandoned"}
    assert set(metrics.LLM_REQUEST.declaration.labels["outcome"].fixed) == ways


def test_nothing_is_declared_twice() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        instruments.counter("tickets_created", "again")


@pytest.mark.parametrize(
    "declaration", [each.declaration for each in DECLARED.values()], ids=lambda d: d.name
)
def test_no_label_is_unbounded(declaration: Declaration) -> None:
    """Routes × methods × classes is the widest there is; what bounds an open set is said beside it."""
    for name, values in declaration.labels.items():
        assert 0 < values.bound <= 400
        assert name not in {"user", "user_id", "ticket", "path", "url", "email", "request_id"}
        assert values.where or values.admit("surely nobody has this value") == OTHER
    assert sorted(declaration.buckets) == list(declaration.buckets)


@given(st.lists(st.text(max_size=30), max_size=60))
def test_a_label_takes_no_more_values_than_it_may(values: list[str]) -> None:
    label = Values(at_most=10, where="this test")
    assert len({label.admit(value) for value in values} - {OTHER}) <= 10


def test_a_flood_of_routes_is_one_series_more() -> None:
    routes = Values(at_most=10, where="this test")
    declaration = Declaration("counter", "flood", "", {"route": routes})
    backend = PrometheusClient()
    series = backend.series(declaration)
    for number in range(1_000):
        series.record(1, {"route": routes.admit(f"/wp-login-{number}.php")})
    lines = [line for line in generate_latest(backend.registry).splitlines() if not line.startswith(b"#")]
    assert len(lines) == 11
    assert backend.registry.get_sample_value("eservice_flood_total", {"route": OTHER}) == 990


def test_wrong_labels_are_a_mistake(client: PrometheusClient) -> None:
    with pytest.raises(ValueError, match="has the labels"):
        metrics.CACHE_HITS.add(path="/")


def test_without_a_backend_nothing_happens() -> None:
    metrics.CACHE_HITS.add(path="/")


def test_what_is_rolled_back_is_not_counted(client: PrometheusClient) -> None:
    def created() -> float:
        labels = {"priority": "low"}
        return client.registry.get_sample_value("eservice_tickets_created_total", labels) or 0.0

    def rolled_back() -> None:
        with instruments.settled():
            metrics.TICKETS_CREATED.add_if_committed(priority="low")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rolled_back()
    assert created() == 0
    with instruments.settled():
        with instruments.settled():
            metrics.TICKETS_CREATED.add_if_committed(priority="low")
        assert created() == 0, "the outer transaction is not committed yet"
    assert created() == 1
