"""Takes tokens from buckets in Redis, in one round trip; from the replica's own while Redis is away."""

import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from redis.asyncio import Redis

from app import cache
from app.errors import TooManyRequests
from app.limits.buckets import Claim, LocalBuckets, Standing, standing

log = structlog.get_logger(__name__)

SCRIPT = (Path(__file__).parent / "take.lua").read_text()
AWAY_S = 1.0
"""How long Redis is left alone after it failed, so that not every request waits for its timeout."""


class RateLimitExceeded(TooManyRequests):
    """You have sent too many requests; wait as long as `Retry-After` says."""

    def __init__(self, standing: Standing) -> None:
        seconds = max(1, -int(-standing.retry_after_s // 1))
        super().__init__(
            f"You have used up the limit {standing.policy!r} of {standing.limit} requests; "
            f"try again in {seconds} s.",
            policy=standing.policy,
            retry_after_s=seconds,
        )
        self.standing = standing
        self.headers = {"Retry-After": str(seconds)}


class Limiter:
    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(SCRIPT)
        self._local = LocalBuckets()
        self._away_until = 0.0

    async def take(self, claims: Sequence[Claim]) -> Standing:
        """Take from all of these buckets or from none; says which binds first. Never raises."""
        allowed, levels = await self._from_redis(claims) or self._local.take(claims)
        return standing(claims, levels, allowed)

    async def spend(self, claims: Sequence[Claim]) -> Standing:
        """Like `take`; `RateLimitExceeded` where a bucket is empty."""
        found = await self.take(claims)
        if not found.allowed:
            raise RateLimitExceeded(found)
        return found

    async def _from_redis(self, claims: Sequence[Claim]) -> tuple[bool, list[float]] | None:
        if time.monotonic() < self._away_until:
            return None
        arguments = [
            part for claim in claims for part in (claim.rate.per_second, claim.rate.burst, claim.cost)
        ]
        try:
            allowed, *levels = await self._script(keys=[claim.key for claim in claims], args=arguments)
        except cache.DOWN as error:
            if self._away_until + AWAY_S < time.monotonic():
                log.warning("Redis is away: rate limits are this replica's own", error=str(error))
            self._away_until = time.monotonic() + AWAY_S
            return None
        return bool(allowed), [float(level) for level in levels]
