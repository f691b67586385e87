"""What comes round for tickets."""

from collections.abc import Mapping

from app.jobs.schemas import Effect, Handler, Job
from app.tickets import idempotency_repository

PRUNE_KEYS = "prune_idempotency_keys"
KEYS_KEPT_S = 7 * 86_400
"""No client retries for longer."""


def handlers() -> Mapping[str, Handler]:
    """A row of `schedules` says how often."""

    async def prune_keys(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await idempotency_repository.prune(conn, keep_s=KEYS_KEPT_S)

    return {PRUNE_KEYS: prune_keys}
