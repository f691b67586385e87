"""What an error object of a provider means. OpenAI, Azure, vLLM and Anthropic each have their own words."""

import re
from typing import Any

from models.llm.errors import ProviderError, Reason

TOO_LONG = re.compile(
    r"maximum (context|model) length|context (limit|window|length)|prompt is too long", re.IGNORECASE
)
FILTERED = frozenset({"content_filter", "content_policy_violation"})
BY_TYPE: dict[str, Reason] = {
    "rate_limit_error": "rate_limited",
    "overloaded_error": "rate_limited",
    "authentication_error": "misconfigured",
    "permission_error": "misconfigured",
    "not_found_error": "misconfigured",
    "request_too_large": "context_length",
}
"""Anthropic's types, which its streams carry without a status."""
BY_STATUS: dict[int, Reason] = {
    401: "misconfigured",
    402: "misconfigured",
    403: "misconfigured",
    404: "misconfigured",
    408: "broken",
    409: "broken",
    429: "rate_limited",
    529: "rate_limited",
}


def refused(
    raw: dict[str, Any], status: int | None = None, *, retry_after: float | None = None
) -> ProviderError:
    """The error that an error object stands for, with the HTTP status it came with, or that it names."""
    inner = raw.get("error")
    error: dict[str, Any] = inner if isinstance(inner, dict) else raw
    detail = str(error.get("message") or raw)[:500]
    code = error.get("code")
    status = status or (code if isinstance(code, int) else None)
    reason = _reason(error, status, detail)
    return ProviderError(reason, detail, status=status, retry_after=retry_after, quotes=True)


def _reason(error: dict[str, Any], status: int | None, detail: str) -> Reason:
    code, kind = str(error.get("code")), str(error.get("type"))
    at_fault = status is None or 400 <= status < 500
    if at_fault and code in FILTERED:
        return "content_filter"
    if at_fault and status != 429 and (code == "context_length_exceeded" or TOO_LONG.search(detail)):
        return "context_length"
    if kind in BY_TYPE:
        return BY_TYPE[kind]
    if status is None:
        return "rejected" if kind == "invalid_request_error" else "broken"
    return BY_STATUS.get(status, "rejected" if 400 <= status < 500 else "broken")
