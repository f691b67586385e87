"""The job that erases a person: vectors first, then rows and the key in one transaction, with the receipt."""

from collections.abc import Mapping

import structlog

from app import db, resealing
from app.cases import people as cases
from app.cases.jobs import Shelves
from app.db import Connection
from app.events import service as events
from app.jobs.schemas import Effect, Handler, Job
from app.privacy import repository
from app.privacy.holders import HOLDERS
from app.privacy.schemas import Erasure, ErasureJob
from app.privacy.service import ERASE_PERSON
from app.vault import passing
from app.vault import service as vault

log = structlog.get_logger(__name__)

SEALING_S = 120.0
"""Less than a job may take, and more than a desk of 100,000 tickets needs after a migration."""


class NotSealedYet(RuntimeError):
    """Texts in the clear are left that the person's key would not take along."""


def handlers(pool: db.Pool, shelves: Shelves) -> Mapping[str, Handler]:
    """`shelves` have the vectors of solved cases."""

    async def erase_person(job: Job, effect: Effect) -> None:
        """A second run finds less to remove, or nothing: the receipt is that of the run that ended."""
        erasure_id = ErasureJob.model_validate(job.payload).erasure_id
        async with db.transaction(pool) as conn:
            receipt = await repository.get(conn, erasure_id)
            vectors = await cases.vectors(conn, receipt.person_id) if receipt else {}
        if receipt is None or receipt.done_at is not None:
            return
        await _seal_all(pool)
        for shelf in await shelves.wanted() if vectors else ():
            if ids := vectors.get(shelf.collection):
                await shelf.store.delete(ids)
                await shelf.store.flush()
        async with effect() as conn:
            await _remove(conn, receipt, vectors=sum(map(len, vectors.values())))
        log.info("a person was erased", erasure=str(receipt.id))

    return {ERASE_PERSON: erase_person}


async def _seal_all(pool: db.Pool) -> None:
    """What a migration left in the clear would outlive the key."""
    await resealing.keep(pool, lasts_s=SEALING_S)
    async with db.transaction(pool) as conn:
        left = (await resealing.standing(conn)).unsealed
    if left:
        raise NotSealedYet(f"texts are not sealed yet: {left}; the erasure waits for them")


async def _remove(conn: Connection, receipt: Erasure, *, vectors: int) -> None:
    removed = {"vectors": vectors}
    for holder in HOLDERS:
        removed |= await holder.forget(conn, receipt.person_id)
    await vault.destroy(conn, receipt.person_id)
    await passing.renew(conn)
    await repository.finish(conn, receipt.id, removed)
    await events.publish(conn, "user", receipt.person_id, "erased", "system:privacy", {})
