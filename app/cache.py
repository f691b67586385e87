"""Redis: a cache and a counter, never the truth. Everything here works, more slowly, without it."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitoring.redis import ObservedRedis

DOWN = (RedisError, OSError, TimeoutError)
"""What redis-py raises while the server is away."""


def connect(url: str, *, timeout_s: float) -> "Redis":
    """A client that gives up after `timeout_s` and does not retry: its callers can do without.

    Of more than 32 callers at once the rest wait for a connection, also no longer than `timeout_s`.
    """
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        max_connections=32,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
    )
    return ObservedRedis.from_pool(pool)


async def is_up(redis: "Redis") -> bool:
    try:
        return bool(await redis.ping())
    except DOWN:
        return False
