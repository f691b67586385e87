"""Why a provider did not answer."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from models.llm.protocol import Attempt

Reason: TypeAlias = Literal[
    "busy",
    "circuit_open",
    "connect",
    "first_token_timeout",
    "stalled",
    "total_timeout",
    "rate_limited",
    "misconfigured",
    "broken",
    "context_length",
    "content_filter",
    "rejected",
]

FATAL: frozenset[Reason] = frozenset({"rejected"})
"""The request itself is at fault: another provider would refuse it too."""

REFUSALS: frozenset[Reason] = frozenset({"rejected", "context_length", "content_filter"})
"""The provider is well and will not answer this request; of the last two, another one may."""

FAULTS: frozenset[Reason] = frozenset(
    {"connect", "first_token_timeout", "stalled", "rate_limited", "misconfigured", "broken"}
)
"""What speaks against the provider, whatever is asked."""

PASSING: frozenset[Reason] = frozenset({"connect", "rate_limited", "broken"})
"""What may be over a moment later. A time-out is not among them: it has used up the caller's patience."""


class ProviderError(Exception):
    """A provider failed; `reason` says how, `status` is the HTTP status where there was one.

    `retry_after` is how long the provider asked to be left alone, in seconds. `quotes`: `detail` is the
    provider's own words, which may quote the request; the caller sees them, nobody keeps them.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        quotes: bool = False,
    ) -> None:
        self.reason = reason
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.kept = f"HTTP status {status}" if quotes and status else None if quotes else detail
        super().__init__(f"{reason}: {self.kept}" if self.kept else reason)


class UnknownModel(LookupError):
    """No provider serves a model of that name."""


class NoProviderLeft(Exception):
    """Every provider of the chain failed; `attempts` says how each did.

    `last` is the refusal that the caller can do something about, if there was one, else the last failure.
    """

    def __init__(self, attempts: Sequence[Attempt], last: ProviderError, *, after_text: bool) -> None:
        self.attempts = tuple(attempts)
        self.last = last
        self.after_text = after_text
        super().__init__(f"every provider failed; the last one: {last}")
