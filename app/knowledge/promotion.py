"""From one index version to another: begin, promote, roll back. Readers take up a change within a second.

What answers is one row; a question is answered by one version from beginning to end, since both stay in
both stores until a third one comes.
"""

from app.db import Connection
from app.errors import Conflict, NotFound
from app.jobs import service as jobs
from app.knowledge import versions
from app.knowledge.schemas import Index


class IndexNotFound(NotFound):
    """There is no such index."""


class IndexNotReady(Conflict):
    """Only an index that was built and passed the gate can be promoted."""


class NothingToReturnTo(Conflict):
    """No index stands by: there is nothing to roll back to."""


class BuildUnderWay(Conflict):
    """Another index is being built; wait for it, or delete it."""


class IndexInUse(Conflict):
    """This index answers; promote another one first."""


async def begin(conn: Connection, base: str, *, embedder: str, dimensions: int, chunker: str) -> Index:
    """A version to be built. What was begun like this before, and did not end, is taken up again."""
    await versions.lock(conn)
    for index in await versions.every(conn):
        if index.status == "building":
            if (index.embedder, index.chunker) == (embedder, chunker):
                return index
            raise BuildUnderWay
    name = await versions.next_name(conn, base)
    return await versions.add(conn, name, embedder=embedder, dimensions=dimensions, chunker=chunker)


async def promote(conn: Connection, name: str, *, force: bool = False) -> Index:
    """Let `name` answer; with `force` also where the gate refused it."""
    await versions.lock(conn)
    index = await get(conn, name)
    allowed = {"ready", "standby", "live"} | ({"refused"} if force else set())
    if index.status not in allowed:
        why = (index.gate or {}).get("low")
        raise IndexNotReady(
            None if why is None else f"The gate refused this index: nDCG@10 may fall by up to {-why:.3f}."
        )
    if index.status != "live":
        await switch(conn, name)
    return await get(conn, name)


async def switch(conn: Connection, name: str) -> None:
    """The swap itself, and what follows from it: the alias, edits made meanwhile, the end of the oldest."""
    await versions.lock(conn)
    standing_by = [index.name for index in await versions.every(conn) if index.status == "standby"]
    await versions.swap(conn, name)
    await jobs.enqueue(conn, "publish_index", {"name": name})
    await jobs.enqueue(conn, "index_articles", {}, dedupe_key="all")
    for old in standing_by:
        if old != name:
            await remove(conn, old)


async def roll_back(conn: Connection) -> Index:
    """Return to the version that answered before."""
    await versions.lock(conn)
    standing_by = [index for index in await versions.every(conn) if index.status == "standby"]
    if not standing_by:
        raise NothingToReturnTo
    latest = max(standing_by, key=lambda index: index.updated_at)
    await switch(conn, latest.name)
    return await get(conn, latest.name)


async def remove(conn: Connection, name: str) -> None:
    """Forget an index that does not answer; its vectors go a moment later."""
    index = await get(conn, name)
    if index.active:
        raise IndexInUse
    await versions.remove(conn, name)
    await jobs.enqueue(conn, "drop_vectors", {"collection": name})


async def get(conn: Connection, name: str) -> Index:
    index = await versions.get(conn, name)
    if index is None:
        raise IndexNotFound
    return index
