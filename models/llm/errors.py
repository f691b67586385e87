"""Why a provider did not answer."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from models.llm.protocol import Attempt

Reason: TypeAlias = Literal[
    "busy", "connect", "first_token_timeout", "stalled", "total_timeout", "rate_limited", "rejected", "broken"
]

FATAL: frozenset[Reason] = frozenset({"rejected"})
"""The request itself is at fault: another provider would refuse it too."""


class ProviderError(Exception):
    """A provider failed; `reason` says how, `status` is the HTTP status where there was one."""

    def __init__(self, reason: Reason, detail: str, *, status: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.status = status
        super().__init__(f"{reason}: {detail}")


class UnknownModel(LookupError):
    """No provider serves a model of that name."""


class NoProviderLeft(Exception):
    """Every provider of the chain failed; `attempts` says how each did."""

    def __init__(self, attempts: Sequence[Attempt], last: ProviderError, *, after_text: bool) -> None:
        self.attempts = tuple(attempts)
        self.last = last
        self.after_text = after_text
        super().__init__(f"every provider failed; the last one: {last}")
