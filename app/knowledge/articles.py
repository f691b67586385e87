"""Writing articles by hand: each change is a new version, and is indexed a moment later.

What readers may see changes in the transaction itself; indexing only makes it findable.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from pydantic import JsonValue

from app.auth import readers
from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, Invalid, PreconditionFailed
from app.jobs import service as jobs
from app.knowledge import indexing, repository
from app.knowledge.indexing import Change, article_id
from app.knowledge.planning import content_hash
from app.knowledge.schemas import Article, ArticleDraft, ArticlePatch
from app.knowledge.service import ArticleNotFound
from models.loading.documents import Document
from models.loading.fields import BadField
from models.loading.fields import readers as readers_of

SOURCE = "written"


class ArticlesAreForKeepers(Forbidden):
    """Only supervisors and administrators may write articles."""


class SlugTaken(Conflict):
    """There is an article with this slug; change that one, or choose another slug."""


class ReadersUnclear(Invalid):
    """Visibility and teams do not fit together."""


async def create(conn: Connection, who: Identity, draft: ArticleDraft) -> Article:
    require_keeper(who)
    if await repository.article_of(conn, SOURCE, draft.slug):
        raise SlugTaken
    await put(conn, SOURCE, [document(draft.model_dump())])
    return await _read(conn, who, article_id(SOURCE, draft.slug))


async def change(
    conn: Connection,
    who: Identity,
    wanted: UUID,
    patch: ArticlePatch,
    matching: frozenset[int] | None,
) -> Article:
    """Raises `PreconditionFailed` where the article's version is none of `matching` by now."""
    require_keeper(who)
    before = await repository.locked(conn, wanted)
    if before is None:
        raise ArticleNotFound
    source, current, there = before
    if matching is not None and current not in matching:
        raise PreconditionFailed
    fields = patch.model_dump(exclude_unset=True)
    if fields.get("visibility", "teams") != "teams" and "teams" not in fields:
        fields["teams"] = []
    await put(conn, source, [document({**_fields(there), **fields})])
    return await _read(conn, who, wanted)


async def remove(conn: Connection, who: Identity, wanted: UUID) -> None:
    require_keeper(who)
    if await repository.locked(conn, wanted) is None:
        raise ArticleNotFound
    await forget(conn, [wanted])


def require_keeper(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise ArticlesAreForKeepers


async def put(conn: Connection, source: str, documents: Sequence[Document]) -> None:
    """Write these articles, and the job that indexes them."""
    changes = [
        Change(article_id(source, each.slug), source, each, content_hash(each), (), ()) for each in documents
    ]
    await indexing.put_articles(conn, changes)
    await jobs.enqueue(conn, "index_articles", {}, dedupe_key="all")


async def replace_source(conn: Connection, source: str, documents: Sequence[Document]) -> None:
    """These are all the articles of that source; others go."""
    there = set(await repository.articles_of(conn, source))
    await forget(conn, sorted(there - {article_id(source, each.slug) for each in documents}))
    await put(conn, source, documents)


async def forget(conn: Connection, article_ids: Sequence[UUID]) -> None:
    """Delete them here and now; their vectors, which nobody is shown any more, a moment later."""
    if not article_ids:
        return
    vectors = await repository.chunk_ids_of(conn, article_ids)
    await indexing.forget(conn, article_ids)
    if vectors:
        await jobs.enqueue(conn, "forget_vectors", {"vectors": cast(JsonValue, vectors)})


def document(fields: Mapping[str, Any]) -> Document:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    require_readers(str(given["visibility"]), given["teams"])
    return Document(**given)


def require_readers(visibility: str, teams: Sequence[str]) -> None:
    """Teams are named where something is for teams, and only there."""
    try:
        readers_of({"visibility": visibility, "teams": list(teams)})
    except BadField as error:
        raise ReadersUnclear(f"{error}.") from error


def _fields(there: Document) -> dict[str, object]:
    return {name: getattr(there, name) for name in Document.__slots__}


async def _read(conn: Connection, who: Identity, wanted: UUID) -> Article:
    found = await repository.article(conn, wanted, await readers.audiences(conn, who))
    if found is None:
        raise ArticleNotFound
    return found
