"""Logs as JSON lines on standard error, which Ray keeps in a file for each replica."""

import logging
import os
import sys

import structlog


def set_up() -> None:
    """Configure structlog once a process; `LOG_LEVEL` sets the level (default INFO)."""
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "INFO").upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # not sys.stderr: Serve replaces it, and buffers by the 1,000 lines
        logger_factory=structlog.WriteLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=True,
    )
