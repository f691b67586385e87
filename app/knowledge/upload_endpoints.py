"""/api/v1/knowledge/documents: uploads, and how they fared."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response, UploadFile

from app.auth.access import SignedIn
from app.errors import Invalid, Unauthorised, Unavailable, documented
from app.knowledge import articles, uploads
from app.knowledge.schemas import TeamNames, Upload, Uploads, Visibility
from app.state import Transaction

router = APIRouter(
    prefix="/api/v1/knowledge/documents",
    tags=["knowledge"],
    responses=documented(Unauthorised, Invalid, Unavailable, uploads.UploadsAreForKeepers),
)


@router.post(
    "",
    status_code=202,
    responses=documented(uploads.FileTooLarge, uploads.KindUnknown),
)
async def upload(
    file: UploadFile,
    who: SignedIn,
    conn: Transaction,
    response: Response,
    visibility: Annotated[Visibility, Form()] = "agents",
    teams: Annotated[TeamNames, Form()] = [],  # noqa: B006  # pydantic copies it
) -> Upload:
    """Upload a document; it is read and indexed in the background: GET it to see how it went.

    A file of the same name replaces the articles of the one before.
    """
    uploads.require_keeper(who)
    content = await file.read(uploads.LIMITS.size + 1)
    articles.require_readers(visibility, teams)
    taken = await uploads.take(conn, who, file.filename or "", content, visibility, teams)
    response.headers["Location"] = f"{router.prefix}/{taken.id}"
    return taken


@router.get("")
async def documents(
    who: SignedIn,
    conn: Transaction,
    cursor: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Uploads:
    """Newest first."""
    items, following = await uploads.page(conn, who, cursor, limit)
    return Uploads(items=items, next_cursor=following)


@router.get("/{document_id}", responses=documented(uploads.UploadNotFound))
async def document(document_id: UUID, who: SignedIn, conn: Transaction) -> Upload:
    return await uploads.get(conn, who, document_id)


@router.delete(
    "/{document_id}",
    status_code=204,
    responses=documented(uploads.UploadNotFound),
)
async def delete_document(document_id: UUID, who: SignedIn, conn: Transaction) -> None:
    """The document and the articles that came of it."""
    await uploads.remove(conn, who, document_id)
