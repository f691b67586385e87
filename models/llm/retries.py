"""How long to wait before the same provider is asked again, if at all."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from models.llm.errors import PASSING, ProviderError


@dataclass(frozen=True, slots=True)
class Retries:
    """Exponential backoff with full jitter: each wait is drawn from zero to `base_s` * 2 ** tries.

    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    """

    at_most: int = 0
    base_s: float = 0.2
    ceiling_s: float = 2.0
    """The longest wait; a provider that asks for more is left to later callers."""
    uniform: Callable[[float, float], float] = random.uniform

    def wait(self, error: ProviderError, tried: int, left_s: float) -> float | None:
        """Seconds until the next try after `tried` retries; `None` when there is to be none.

        Never shorter than the provider's Retry-After, never as long as the `left_s` of the caller's deadline.
        """
        if tried >= self.at_most or error.reason not in PASSING:
            return None
        asked = error.retry_after or 0.0
        spread = min(self.ceiling_s, self.base_s * 2.0**tried)
        wait = asked + self.uniform(0.0, spread)
        return wait if asked <= self.ceiling_s and wait < left_s else None
