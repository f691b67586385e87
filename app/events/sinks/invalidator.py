"""Lets hot reads forget what changed, whoever changed it, and vouches for the rest."""

from collections.abc import Iterable

from redis.asyncio import Redis

from app import hot
from app.events.relay import Batch
from app.events.service import Said

COUNTED = {"created", "triaged", "assigned", "unassigned", "status_changed", "changed", "merged"}
"""What may change how many tickets wait in a queue or stand with an agent."""


class Invalidator:
    name = "hot_reads"

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def deliver(self, batch: Batch) -> None:
        """Also called without events: the mark expires."""
        said = [Said(event.id, event.aggregate, event.aggregate_id, event.kind) for event in batch.events]
        if said:
            known = await hot.stamped(self._redis, [event.event_id for event in said])
            await hot.stamp(self._redis, tags(event for event in said if event.event_id not in known))
        if batch.complete:
            await hot.vouch(self._redis, batch.as_of)

    async def close(self) -> None:
        await self._redis.aclose()


def tags(changed: Iterable[Said]) -> set[str]:
    """A thing's own tag and its kind's, on which lists hang; of tickets only how many there are where."""
    found: set[str] = set()
    for _, aggregate, thing, kind in changed:
        found.add(f"{aggregate}:{thing}")
        if aggregate != "ticket":
            found.add(aggregate)
        elif kind in COUNTED:
            found.add("ticket_counts")
    return found
