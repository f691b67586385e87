"""Logs as JSON lines on standard error, which Ray keeps in a file for each replica.

Every line says which request, trace, user and deployment it belongs to, as far as there is one; personal data
is masked, also what an error's message quotes (`failures`). What other libraries log through `logging` leaves
by the same door.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitoring import failures, tracing
from monitoring.masking import mask, masked

DEFAULT_LEVEL = "INFO"
KEPT_AS_THEY_ARE = frozenset({"timestamp", "level", "logger", "trace_id", "span_id"})
NOISY = {"asyncio": "WARNING", "httpx": "WARNING", "pymilvus": "CRITICAL", "opentelemetry": "ERROR"}

request_state: ContextVar[MutableMapping[str, Any] | None] = ContextVar("request_state", default=None)
"""What the request under way knows of itself; `user_id` appears in it once somebody is signed in."""
REQUEST_IDS = frozenset({"request_id", "user_id"})


class BadLevels(ValueError):
    """LOG_LEVELS is not a list like `app.jobs=DEBUG,models=WARNING`."""


def set_up(**always: str) -> None:
    """Configure structlog and `logging` once a process; `always` stands in every line.

    `LOG_LEVEL` sets the level (default INFO), `LOG_LEVELS` others by module: `app.jobs=DEBUG,models=ERROR`.
    """
    levels = read_levels(os.environ)
    shared = _shared(always)
    structlog.configure(
        processors=[_by_module(levels), *shared, structlog.processors.JSONRenderer()],
        # not sys.stderr: Serve replaces it, and buffers by the 1,000 lines
        logger_factory=_named,
        wrapper_class=structlog.make_filtering_bound_logger(min(levels.values())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    for name, quiet in NOISY.items():
        logging.getLogger(name).setLevel(quiet)
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def read_levels(environ: Mapping[str, str]) -> dict[str, int]:
    """Level by module; the empty name is everything else."""
    known = logging.getLevelNamesMapping()
    levels = {"": known.get(environ.get("LOG_LEVEL", DEFAULT_LEVEL).upper(), logging.INFO)}
    for part in filter(None, environ.get("LOG_LEVELS", "").split(",")):
        module, _, level = part.partition("=")
        if not module.strip() or level.strip().upper() not in known:
            raise BadLevels(f"LOG_LEVELS: {part!r} is not like app.jobs=DEBUG")
        levels[module.strip()] = known[level.strip().upper()]
    return levels


class _Named(structlog.WriteLogger):
    """Writes lines; knows the module it was made for."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.__stderr__)
        self.name = name


def _named(*args: Any) -> _Named:
    return _Named(args[0] if args else "")


def _by_module(levels: Mapping[str, int]) -> Processor:
    """Drops what is below its module's level; of several that match, the longest name counts."""
    ordered = sorted(levels, key=len, reverse=True)

    def drop(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        name = getattr(logger, "name", "")
        match = next(each for each in ordered if not each or name == each or name.startswith(f"{each}."))
        if logging.getLevelNamesMapping()[_level(method)] < levels[match]:
            raise structlog.DropEvent
        event["logger"] = name
        return event

    return drop


def _level(method: str) -> str:
    return {"exception": "ERROR", "warn": "WARNING", "fatal": "CRITICAL"}.get(method, method.upper())


def _shared(always: Mapping[str, str]) -> list[Processor]:
    def identify(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event.update(always)
        if state := request_state.get():
            for name in REQUEST_IDS & state.keys():
                event.setdefault(name, state[name])
        if found := tracing.ids():
            event["trace_id"], event["span_id"] = found
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(failures.rendered),
        identify,
        _mask,
    ]


def _mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The last look at a line. Its own words are masked too: libraries put values into them."""
    for key, value in event.items():
        if key == "event":
            event[key] = mask(str(value))
        elif key not in KEPT_AS_THEY_ARE and not key.startswith("_"):
            event[key] = masked(value, key)
    return event
