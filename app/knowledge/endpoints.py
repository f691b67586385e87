"""/api/v1/knowledge: search, articles, teams."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response

from app.auth import readers
from app.auth.access import SignedIn
from app.auth.schemas import Team, TeamMembers, Teams
from app.errors import (
    Invalid,
    PreconditionFailed,
    PreconditionRequired,
    Unauthorised,
    Unavailable,
    documented,
)
from app.etags import versions as versions_of
from app.knowledge import articles, service
from app.knowledge.articles import SlugTaken
from app.knowledge.schemas import (
    Article,
    ArticleDraft,
    ArticlePatch,
    Articles,
    SearchRequest,
    SearchResponse,
)
from app.knowledge.service import ArticleNotFound
from app.state import Current, Transaction

router = APIRouter(
    prefix="/api/v1/knowledge", tags=["knowledge"], responses=documented(Unauthorised, Invalid, Unavailable)
)

Limit = Annotated[int, Query(ge=1, le=100)]
TeamName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]


@router.post("/search")
async def search(request: SearchRequest, who: SignedIn, state: Current) -> SearchResponse:
    """The passages that fit a question best, among those you may read."""
    return await service.search(state, who, request)


@router.get("/articles")
async def list_articles(
    who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50
) -> Articles:
    items, following = await service.articles(conn, who, cursor, limit)
    return Articles(items=items, next_cursor=following)


@router.get("/articles/{article_id}", responses=documented(ArticleNotFound))
async def article(article_id: UUID, who: SignedIn, conn: Transaction, response: Response) -> Article:
    return _tagged(await service.article(conn, who, article_id), response)


@router.get("/teams", responses=documented(readers.TeamsAreKeptBySupervisors))
async def teams(who: SignedIn, conn: Transaction) -> Teams:
    """Who is in which team; articles may be for some teams only."""
    return Teams(items=await readers.teams(conn, who))


@router.put("/teams/{team}", responses=documented(readers.TeamsAreKeptBySupervisors))
async def set_team(team: TeamName, body: TeamMembers, who: SignedIn, conn: Transaction) -> Team:
    """Make exactly these people the team. What they may read follows at once."""
    return await readers.set_team(conn, who, team, body.members)


@router.post("/articles", status_code=201, responses=documented(articles.ArticlesAreForKeepers, SlugTaken))
async def write_article(body: ArticleDraft, who: SignedIn, conn: Transaction, response: Response) -> Article:
    """Write an article. It can be read at once, and found a moment later."""
    made = await articles.create(conn, who, body)
    response.headers["Location"] = f"{router.prefix}/articles/{made.id}"
    return _tagged(made, response)


@router.patch(
    "/articles/{article_id}",
    responses=documented(
        articles.ArticlesAreForKeepers, ArticleNotFound, PreconditionFailed, PreconditionRequired
    ),
)
async def change_article(
    article_id: UUID,
    body: ArticlePatch,
    who: SignedIn,
    conn: Transaction,
    response: Response,
    if_match: Annotated[str | None, Header(description="the article's ETag as you read it")] = None,
) -> Article:
    """Change an article. Who may not read it any more cannot from this moment on, by any way."""
    if if_match is None:
        raise PreconditionRequired
    return _tagged(await articles.change(conn, who, article_id, body, versions_of(if_match)), response)


@router.delete(
    "/articles/{article_id}",
    status_code=204,
    responses=documented(articles.ArticlesAreForKeepers, ArticleNotFound),
)
async def delete_article(article_id: UUID, who: SignedIn, conn: Transaction) -> None:
    await articles.remove(conn, who, article_id)


def _tagged(found: Article, response: Response) -> Article:
    response.headers["ETag"] = f'"{found.version}"'
    return found
