"""What a span may say, when a trace is kept, and whose child a span is."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from monitoring import tracing
from monitoring.sampling import Rule
from monitoring.tracing import Span
from tests.measured import Traces


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    tracing.shut_down()


def test_an_ordinary_request_is_dropped_with_everything_in_it() -> None:
    traces = Traces()
    with tracing.span("request"), tracing.span("statement"):
        pass
    assert traces.spans == {}


def test_a_failed_one_is_kept_whole_with_what_ended_before_the_failure() -> None:
    traces = Traces()

    def request() -> None:
        with tracing.span("request"):
            with tracing.span("well"):
                pass
            with tracing.span("ill"):
                raise ZeroDivisionError("card 4111 1111 1111 1111")

    with pytest.raises(ZeroDivisionError):
        request()
    assert traces.spans.keys() == {"request", "well", "ill"}
    ill = traces.spans["ill"]
    assert ill.attributes == {"error.type": "ZeroDivisionError"}
    assert not ill.events, "an exception's message may be a customer's words"
    assert ill.status.description is None


def test_a_rush_keeps_so_many_a_second_and_all_that_fail() -> None:
    traces = Traces(ratio=1.0, per_s=5)
    for number in range(100):
        with tracing.span(f"request {number}") as request:
            if number >= 90:
                request.fail("500")
    well = [name for name, span in traces.spans.items() if span.status.is_unset]
    assert 5 <= len(well) <= 10, "one second's share, or two's where the clock turned meanwhile"
    assert len(traces.spans) - len(well) == 10


def test_a_slow_one_is_kept() -> None:
    traces = Traces(slow_s=0.0)
    with tracing.span("request"):
        pass
    assert "request" in traces.spans


def test_a_trace_that_leaves_the_process_is_kept_by_both_sides() -> None:
    traces = Traces()
    with tracing.span("request"):
        with tracing.span("before"):
            pass
        sent = tracing.carrier()
    with tracing.span("far side", caller=sent):
        pass
    assert traces.spans.keys() == {"request", "before", "far side"}
    here, there = traces.spans["request"], traces.spans["far side"]
    assert here.context
    assert there.parent
    assert there.parent.span_id == here.context.span_id


def test_a_client_may_name_the_trace_but_not_have_it_kept() -> None:
    traces = Traces()
    given = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with tracing.span("request", caller=given, trusted=False):
        assert tracing.ids() is not None
        assert tracing.ids()[0] == "0af7651916cd43dd8448eb211c80319c"  # type: ignore[index]
    assert traces.spans == {}


def test_a_span_that_ends_after_its_request_shares_its_fate() -> None:
    traces = Traces()
    with tracing.span("request") as request:
        late = tracing.span("late").__enter__()
        request.fail("500")
    late.__exit__(None, None, None)
    assert traces.spans.keys() == {"request", "late"}


async def test_a_streams_span_is_not_its_readers() -> None:
    traces = Traces(ratio=1.0)

    async def items(span: Span) -> AsyncIterator[int]:
        for number in range(2):
            with tracing.span(f"inside {number}"):
                await asyncio.sleep(0)
            yield number

    with tracing.span("request"):
        async for number in tracing.stream("stream", items):
            with tracing.span(f"reader {number}"):
                pass
    parents = {name: span.parent.span_id if span.parent else None for name, span in traces.spans.items()}
    span_ids = {name: span.context.span_id for name, span in traces.spans.items() if span.context}
    assert parents["inside 1"] == span_ids["stream"]
    assert parents["reader 1"] == span_ids["request"]


async def test_leaving_a_stream_closes_its_source_and_is_no_failure() -> None:
    traces = Traces(ratio=1.0)
    closed = False

    async def items(span: Span) -> AsyncIterator[int]:
        nonlocal closed
        try:
            yield 1
            yield 2
        finally:
            closed = True

    stream = tracing.stream("stream", items)
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert closed
    assert traces.spans["stream"].status.is_ok
    assert traces.spans["stream"].attributes == {"eservice.outcome": "abandoned"}


def test_only_known_attributes_and_no_personal_data_in_them() -> None:
    traces = Traces(ratio=1.0)
    with pytest.raises(ValueError, match="ATTRIBUTES"), tracing.span("s", {"customer.email": "a@b.de"}):
        pass
    with tracing.span("t", {"db.query.summary": "of ada@example.com"}):
        pass
    assert traces.spans["t"].attributes == {"db.query.summary": "of [email]"}


def test_the_share_is_the_same_in_every_process() -> None:
    rule = Rule(ratio=0.25)
    taken = [rule.takes(trace_id * 0x9E3779B97F4A7C15) for trace_id in range(4_000)]
    assert 800 < sum(taken) < 1_200


def test_off_it_is_nothing() -> None:
    with tracing.span("request") as span:
        span.set(http__route="/")
    assert tracing.carrier() == {}
    assert tracing.ids() is None
