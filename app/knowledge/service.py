"""Searching and reading the knowledge base as one person may."""

from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Forbidden, NotFound
from app.knowledge import repository
from app.knowledge.schemas import (
    Article,
    ArticleSummary,
    Index,
    SearchRequest,
    SearchResponse,
    SearchResult,
)
from models.retrieval.passages import Filters
from models.retrieval.retriever import Retriever


class ArticleNotFound(NotFound):
    """There is no such article, or it is not for you."""


class IndexesAreForStaff(Forbidden):
    """Only agents, supervisors and administrators may see the indexes."""


async def search(retriever: Retriever, who: Identity, request: SearchRequest) -> SearchResponse:
    """The best passages that `who` may read. No connection is held while models run."""
    wanted = request.filters
    filters = Filters(
        audiences=who.audiences,
        products=frozenset(wanted.products),
        topics=frozenset(wanted.topics),
        languages=frozenset(wanted.languages),
    )
    found = await retriever.retrieve(
        request.query, filters=filters, top_k=request.top_k, rerank=request.rerank
    )
    return SearchResponse(
        results=[SearchResult.of(passage) for passage in found.passages],
        relevance=found.relevance,
        found=found.found,
        degraded=list(found.degraded),
        latency_ms=found.latency_ms,
    )


async def articles(
    conn: Connection, who: Identity, after: UUID | None, limit: int
) -> tuple[list[ArticleSummary], UUID | None]:
    """A page of the articles `who` may read, and where to go on if there are more."""
    found = await repository.articles(conn, who.audiences, after, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def article(conn: Connection, who: Identity, article_id: UUID) -> Article:
    found = await repository.article(conn, article_id, who.audiences)
    if found is None:
        raise ArticleNotFound
    return found


async def indexes(conn: Connection, who: Identity) -> list[Index]:
    if not who.is_staff:
        raise IndexesAreForStaff
    return await repository.indexes(conn)
