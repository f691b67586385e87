"""/api/v1/knowledge."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from app.auth import readers
from app.auth.access import SignedIn
from app.auth.schemas import Team, TeamMembers, Teams
from app.errors import Invalid, Unauthorised, Unavailable, documented
from app.knowledge import service
from app.knowledge.schemas import Article, Articles, Indexes, SearchRequest, SearchResponse
from app.knowledge.service import ArticleNotFound, IndexesAreForStaff
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
async def articles(who: SignedIn, conn: Transaction, cursor: Cursor = None, limit: Limit = 50) -> Articles:
    items, following = await service.articles(conn, who, cursor, limit)
    return Articles(items=items, next_cursor=following)


@router.get("/articles/{article_id}", responses=documented(ArticleNotFound))
async def article(article_id: UUID, who: SignedIn, conn: Transaction) -> Article:
    return await service.article(conn, who, article_id)


@router.get("/teams", responses=documented(readers.TeamsAreKeptBySupervisors))
async def teams(who: SignedIn, conn: Transaction) -> Teams:
    """Who is in which team; articles may be for some teams only."""
    return Teams(items=await readers.teams(conn, who))


@router.put("/teams/{team}", responses=documented(readers.TeamsAreKeptBySupervisors))
async def set_team(team: TeamName, body: TeamMembers, who: SignedIn, conn: Transaction) -> Team:
    """Make exactly these people the team. What they may read follows at once."""
    return await readers.set_team(conn, who, team, body.members)


@router.get("/indexes", responses=documented(IndexesAreForStaff))
async def indexes(who: SignedIn, conn: Transaction) -> Indexes:
    """How the knowledge base is cut and embedded; for staff."""
    return Indexes(items=await service.indexes(conn, who))
