"""What cases vote for, from PostgreSQL: a link that was revoked a moment ago has no vote."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app import db
from app.cases import affinities, repository
from app.knowledge import rerankers
from models.retrieval.affinity import Affinity
from models.retrieval.cases import Standing
from models.retrieval.passages import Filters

KEEP_S = 2.0
"""For how long what was learnt is taken to be the newest."""
KEEP_NONE_S = 0.05
"""For how long it is taken that there is no case yet: about as long as a search takes."""


def case_collection(model: str, precision: str) -> str:
    """Cases lie in a collection of their embedder's: read by another one, or otherwise, they are anew."""
    return re.sub(r"\W", "_", f"cases_fading_{model}_{precision}")


class PostgresCases:
    """Implements `CaseLibrary` for one index, whose embedder's cases lie in `collection`."""

    def __init__(self, pool: db.Pool, index: str, collection: str) -> None:
        self._pool = pool
        self._index = index
        self._collection = collection
        self._affinity: UUID | None = None
        self._standing = Standing(any=False)
        self._looked = -KEEP_S

    async def links(self, case_ids: Sequence[str], filters: Filters) -> dict[str, tuple[str, ...]]:
        return await db.read(self._pool, lambda conn: repository.links(conn, case_ids, filters.audiences))

    async def standing(self) -> Standing:
        """The first case counts at once, for all that is asked in one search; what was learnt in `KEEP_S`."""
        if time.monotonic() - self._looked >= (KEEP_S if self._standing.any else KEEP_NONE_S):
            self._standing = await db.read(self._pool, self._look)
            self._looked = time.monotonic()
        return self._standing

    async def _look(self, conn: db.Connection) -> Standing:
        standing = await repository.standing(conn, self._index)
        if not standing.any:
            return standing
        reranker = await rerankers.active(conn)
        return replace(
            standing,
            rerank_weight=reranker.weight if reranker else None,
            affinity=await self._learnt(conn),
        )

    async def _learnt(self, conn: db.Connection) -> Affinity | None:
        """It may be megabytes, and is read when there is another."""
        version = await affinities.version(conn, self._collection)
        if version == self._affinity:
            return self._standing.affinity
        self._affinity = version
        return await affinities.get(conn, self._collection)
