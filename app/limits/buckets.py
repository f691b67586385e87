"""Token buckets: what one request asks of them, what they answer, and those of one replica's own."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from config.limits import Rate

MOST_LOCAL_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's wish for `cost` tokens; a negative cost gives them back."""

    policy: str
    holder: str
    rate: Rate
    cost: float = 1.0

    @property
    def key(self) -> str:
        return f"limit:{self.policy}:{self.holder}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the bucket that binds a caller first stands, after this request."""

    policy: str
    limit: int
    """The most requests at once: what the bucket holds when it is full."""
    remaining: int
    window_s: float
    """How long the bucket takes to fill from nothing."""
    reset_s: float
    """How long until it is full again."""
    retry_after_s: float
    """How long until it allows the next request; 0 where it does now."""
    allowed: bool = True

    @property
    def effective_s(self) -> float:
        """How long what remains lasts at the bucket's rate; where nothing does, until something does."""
        return max(self.remaining * self.window_s / self.limit, self.retry_after_s)


def standing(claims: Sequence[Claim], levels: Sequence[float], allowed: bool) -> Standing:
    """Of several buckets, the one that binds first; `levels` are those before the request."""
    held = [level - claim.cost if allowed else level for claim, level in zip(claims, levels, strict=True)]
    claim, left = min(zip(claims, held, strict=True), key=lambda pair: pair[1] / pair[0].rate.burst)
    if not allowed:
        claim, left = max(zip(claims, held, strict=True), key=lambda pair: _wait(*pair))
    rate = claim.rate
    return Standing(
        policy=claim.policy,
        limit=rate.burst,
        remaining=max(0, math.floor(left)),
        window_s=rate.burst / rate.per_second,
        reset_s=max(0.0, rate.burst - left) / rate.per_second,
        retry_after_s=_wait(claim, left),
        allowed=allowed,
    )


def _wait(claim: Claim, left: float) -> float:
    return max(0.0, claim.cost - left) / claim.rate.per_second


class LocalBuckets:
    """The same in this process, for as long as Redis is away: each replica then grants the whole rate.

    Past `MOST_LOCAL_BUCKETS` the one unused for longest is forgotten, which is to say full.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, claims: Sequence[Claim]) -> tuple[bool, list[float]]:
        """Whether every bucket had enough, and what each held before."""
        now = self._clock()
        levels = [self._level(claim, now) for claim in claims]
        allowed = all(level >= claim.cost for claim, level in zip(claims, levels, strict=True))
        if allowed:
            for claim, level in zip(claims, levels, strict=True):
                self._kept[claim.key] = (min(claim.rate.burst, level - claim.cost), now)
                self._kept.move_to_end(claim.key)
            while len(self._kept) > MOST_LOCAL_BUCKETS:
                self._kept.popitem(last=False)
        return allowed, levels

    def _level(self, claim: Claim, now: float) -> float:
        held, at = self._kept.get(claim.key, (float(claim.rate.burst), now))
        return min(claim.rate.burst, held + (now - at) * claim.rate.per_second)
