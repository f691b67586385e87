"""When a delivery that failed is tried again, and how long an endpoint that fails is left alone.

A delivery has its own schedule, Standard Webhooks' example: ten attempts in three days. An endpoint that
fails rests besides: one delivery at a time then finds out whether it is back, however many wait.
"""

import random

from config.webhooks import WebhookSettings

MINUTE, HOUR = 60.0, 3600.0
DELAYS_S = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
JITTER = 0.2
"""Share by which each delay is longer or shorter, by chance: what failed together comes back apart."""

LONGEST_WISH_S = HOUR
"""What a receiver asks for with Retry-After counts up to here."""


def next_attempt_s(attempts: int) -> float | None:
    """Seconds until the attempt after the `attempts` that failed; `None` where that was the last."""
    if attempts > len(DELAYS_S):
        return None
    return DELAYS_S[max(attempts, 1) - 1] * random.uniform(1 - JITTER, 1 + JITTER)


def rest_s(failures: int, wish_s: float | None, settings: WebhookSettings) -> float:
    """Seconds without an attempt after `failures` in a row, the last with this Retry-After."""
    doubled = settings.rest_base_s * 2.0 ** min(max(failures - 1, 0), 30)
    pause = min(settings.rest_max_s, doubled) * random.uniform(1 - JITTER, 1)
    return max(pause, min(wish_s or 0.0, LONGEST_WISH_S))
