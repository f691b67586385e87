"""Files that become articles: taken in at once, read by the Worker in a process that may fail.

A file's articles have the file's name as their source: uploading a file of the same name replaces them.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from app import db
from app.auth.schemas import Identity
from app.errors import Forbidden, Invalid, NotFound, TooLarge
from app.jobs import service as jobs
from app.jobs.schemas import Effect, Job
from app.knowledge import articles, repository
from app.knowledge.schemas import Upload
from models.loading import files, isolated
from models.loading.documents import Document, Problem
from models.loading.limits import Limits

LIMITS = Limits()
KEPT_PROBLEMS = 100


class UploadNotFound(NotFound):
    """There is no such document."""


class UploadsAreForKeepers(Forbidden):
    """Only supervisors and administrators may upload documents."""


class FileTooLarge(TooLarge):
    """The file is larger than what is taken."""


class KindUnknown(Invalid):
    """Files of this kind cannot be read."""

    status = 415


class FileEmpty(Invalid):
    """The file is empty."""


def require_keeper(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise UploadsAreForKeepers


async def take(
    conn: db.Connection, who: Identity, filename: str, content: bytes, visibility: str, teams: Sequence[str]
) -> Upload:
    """Write the file down, and the job that reads it."""
    require_keeper(who)
    name = PurePosixPath(filename.replace("\\", "/")).name.replace("\0", "")[-200:]
    if not files.kind(Path(name)) or files.kind(Path(name)) in files.ALONE:
        kinds = " ".join(kind for kind in files.KINDS if kind not in files.ALONE)
        raise KindUnknown(f"{name or 'A file without a name'} is not of a kind that can be read ({kinds}).")
    if not content:
        raise FileEmpty
    if len(content) > LIMITS.size:
        raise FileTooLarge(f"The file has {len(content):,} bytes; {LIMITS.size:,} are taken at most.")
    upload = await repository.add_upload(conn, who.id, name, content, visibility, list(teams))
    await jobs.enqueue(conn, "load_document", {"document_id": str(upload.id)})
    return upload


async def get(conn: db.Connection, who: Identity, upload_id: UUID) -> Upload:
    require_keeper(who)
    upload = await repository.upload(conn, upload_id)
    if upload is None:
        raise UploadNotFound
    return upload


async def page(
    conn: db.Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Upload], UUID | None]:
    """Newest first, and where to go on if there are more."""
    require_keeper(who)
    found = await repository.uploads(conn, before, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def remove(conn: db.Connection, who: Identity, upload_id: UUID) -> None:
    """The file and the articles that came of it."""
    upload = await get(conn, who, upload_id)
    await articles.forget(conn, await repository.articles_of(conn, source(upload.filename)))
    await repository.remove_upload(conn, upload_id)


def source(filename: str) -> str:
    return f"upload:{filename}"


async def load(pool: db.Pool, job: Job, effect: Effect) -> None:
    """Read the file, within limits; articles and the document's state in one transaction."""
    upload_id = UUID(str(job.payload["document_id"]))
    async with db.transaction(pool) as conn:
        found = await repository.upload_content(conn, upload_id)
    if found is None:
        return
    upload, content = found
    documents, problems = await asyncio.to_thread(parse, upload.filename, content)
    async with effect() as conn:
        state: dict[str, Any] = {"status": "indexing" if documents else "failed", "articles": len(documents)}
        if documents:
            placed = [_for_readers(each, upload) for each in documents]
            await articles.replace_source(conn, source(upload.filename), placed)
            await jobs.enqueue(conn, "index_articles", {}, dedupe_key="all")
        await repository.finish_upload(conn, upload_id, problems=problems[:KEPT_PROBLEMS], **state)


def parse(filename: str, content: bytes, limits: Limits = LIMITS) -> tuple[list[Document], list[Problem]]:
    """What is in the file; a problem for each part that cannot be read, without our folders in it."""
    with tempfile.TemporaryDirectory(prefix="es-upload-") as folder:
        path = Path(folder) / filename
        path.write_bytes(content)
        slug = filename.removesuffix(files.kind(Path(filename))) or filename
        found = list(isolated.read(path, slug, limits))
    documents = {each.slug: each for each in found if isinstance(each, Document)}
    problems = [
        Problem(each.where.replace(f"{folder}/", ""), each.reason)
        for each in found
        if isinstance(each, Problem)
    ]
    return list(documents.values()), problems


def _for_readers(document: Document, upload: Upload) -> Document:
    """Whom the upload is for: a file cannot say that it is for more people than its uploader did."""
    return replace(document, visibility=upload.visibility, teams=tuple(upload.teams))


async def settle(conn: db.Connection) -> None:
    """Documents all of whose articles are indexed are ready."""
    await repository.settle_uploads(conn)
