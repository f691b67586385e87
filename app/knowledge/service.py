"""Searching and reading the knowledge base as one person may."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from app import db
from app.auth import readers
from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, NotFound
from app.jobs import service as jobs
from app.knowledge import promotion, repository, versions
from app.knowledge.schemas import (
    Article,
    ArticleSummary,
    GateQuestions,
    Index,
    IndexDraft,
    SearchRequest,
    SearchResponse,
    SearchResult,
)
from app.state import State
from config.profile import Profile
from models.retrieval.chunking import Chunking
from models.retrieval.passages import Filters
from monitoring import metrics


class ArticleNotFound(NotFound):
    """There is no such article, or it is not for you."""


class IndexesAreForStaff(Forbidden):
    """Only agents, supervisors and administrators may see the indexes."""


class IndexesAreForAdmins(Forbidden):
    """Only administrators may build, promote and delete indexes."""


async def search(state: State, who: Identity, request: SearchRequest) -> SearchResponse:
    """The best passages that `who` may read. No connection is held while models run."""
    found = await state.retriever.retrieve(
        request.query, filters=_filters(state.pool, who, request), top_k=request.top_k, rerank=request.rerank
    )
    return SearchResponse(
        results=[SearchResult.of(passage) for passage in found.passages],
        relevance=found.relevance,
        found=found.found,
        index=found.index,
        degraded=list(found.degraded),
        latency_ms=found.latency_ms,
    )


async def _filters(pool: db.Pool, who: Identity, request: SearchRequest) -> Filters:
    wanted = request.filters
    return Filters(
        audiences=await audiences(pool, who),
        products=frozenset(wanted.products),
        topics=frozenset(wanted.topics),
        languages=frozenset(wanted.languages),
    )


async def audiences(pool: db.Pool, who: Identity) -> frozenset[str]:
    """What `who` may read, without a transaction around the one statement that says it."""
    return await db.read(pool, lambda conn: readers.audiences(conn, who))


async def readable(conn: db.Connection, who: Identity, article_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these articles that are there and that `who` may read now."""
    wanted = list(set(article_ids))
    return await repository.readable(conn, wanted, await readers.audiences(conn, who)) if wanted else set()


async def articles(
    conn: Connection, who: Identity, after: UUID | None, limit: int
) -> tuple[list[ArticleSummary], UUID | None]:
    """A page of the articles `who` may read, and where to go on if there are more."""
    found = await repository.articles(conn, await readers.audiences(conn, who), after, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def article(conn: Connection, who: Identity, article_id: UUID) -> Article:
    found = await repository.article(conn, article_id, await readers.audiences(conn, who))
    if found is None:
        raise ArticleNotFound
    return found


async def indexes(conn: Connection, who: Identity) -> list[Index]:
    if not who.is_staff:
        raise IndexesAreForStaff
    return await versions.every(conn)


async def begin_build(conn: Connection, who: Identity, profile: Profile, draft: IndexDraft) -> Index:
    """A new version, and the job that builds it beside the one that answers."""
    require_admin(who)
    embedder, chosen = profile.embedder, profile.retrieval
    chunking = Chunking(
        draft.chunk_tokens or chosen.chunk_tokens,
        chosen.chunk_overlap_sentences
        if draft.chunk_overlap_sentences is None
        else draft.chunk_overlap_sentences,
    )
    made_with = (
        draft.model or embedder.model,
        draft.precision or embedder.precision,
        draft.max_tokens or embedder.max_tokens,
    )
    index = await promotion.begin(
        conn,
        chosen.collection,
        embedder=":".join(map(str, made_with)),
        dimensions=draft.dimensions or embedder.dimensions,
        chunker=chunking.version,
    )
    await jobs.enqueue(conn, "build_index", {"name": index.name}, dedupe_key=index.name)
    return index


async def store_questions(conn: Connection, who: Identity, questions: GateQuestions) -> None:
    require_admin(who)
    await versions.add_questions(conn, [(each.question, each.articles) for each in questions.items])


def require_admin(who: Identity) -> None:
    if who.role != "admin":
        raise IndexesAreForAdmins


async def gauge(conn: Connection) -> None:
    """Set the gauges of the indexes as they are now."""
    for index in await versions.every(conn):
        if index.active:
            age = datetime.now(UTC) - index.updated_at
            metrics.INDEX_AGE.set(max(0.0, age.total_seconds()), index=index.name)
