"""Log lines: JSON, whose they are, how loud, and nothing in them that is somebody's."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from monitoring import logs

PLANTED = "ada.planted@example.com"


class Written(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    out = Written()
    monkeypatch.setattr(sys, "__stderr__", out)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield out
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logs.request_state.set(None)


def test_a_line_says_whose_it_is(written: Written) -> None:
    logs.set_up(deployment="Gateway", replica="abc")
    logs.request_state.set({"user_id": "u1"})
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("app.tickets").warning("unavailable", error="queue-full")
    (line,) = written.lines()
    assert (
        line.items()
        >= {
            "event": "unavailable",
            "deployment": "Gateway",
            "replica": "abc",
            "request_id": "r1",
            "user_id": "u1",
            "logger": "app.tickets",
            "level": "warning",
            "error": "queue-full",
        }.items()
    )
    assert "timestamp" in line


def test_what_libraries_log_leaves_by_the_same_door(written: Written) -> None:
    logs.set_up(deployment="Assistant")
    logging.getLogger("models.retrieval.retriever").warning("searching without %s", PLANTED)
    (line,) = written.lines()
    assert line["event"] == "searching without [email]"
    assert line["logger"] == "models.retrieval.retriever"
    assert line["deployment"] == "Assistant"


def test_levels_by_module(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("LOG_LEVELS", "app.jobs=DEBUG,models=ERROR")
    logs.set_up()
    for name in ("app.jobs.runner", "app.jobsearch", "models.llm"):
        structlog.get_logger(name).debug("debug")
        structlog.get_logger(name).warning("warning")
        logging.getLogger(f"{name}.std").warning("std")
    said = [(line["logger"], line["event"]) for line in written.lines()]
    assert said == [
        ("app.jobs.runner", "debug"),
        ("app.jobs.runner", "warning"),
        ("app.jobs.runner.std", "std"),
        ("app.jobsearch", "warning"),
        ("app.jobsearch.std", "std"),
    ]


def test_levels_that_cannot_be_read() -> None:
    with pytest.raises(logs.BadLevels, match=r"LOG_LEVELS: 'app\.jobs'"):
        logs.read_levels({"LOG_LEVELS": "app.jobs"})


def test_an_exceptions_message_is_masked(written: Written) -> None:
    logs.set_up()
    try:
        raise ValueError(f"Key (email)=({PLANTED}) already exists")
    except ValueError as error:
        structlog.get_logger("app").error("unforeseen error", exc_info=error, subject="My secret illness")
        logging.getLogger("app").exception("again")
    assert PLANTED not in written.getvalue()
    assert "illness" not in written.getvalue()
    assert "ValueError" in written.lines()[0]["exception"]
    assert "ValueError" in written.lines()[1]["exception"]
