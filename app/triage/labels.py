"""Labels that are announced before there are examples of them: what they mean, and where such tickets go."""

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Invalid, NotFound
from app.triage import questions_repository as repository
from app.triage.schemas import LabelDraft, NewLabel
from app.triage.service import require_admin, require_lead


class LabelNotFound(NotFound):
    """No label of this name was announced."""


class LabelWithoutQueue(Invalid):
    """There is no queue of this name; GET /api/v1/routing/queues lists them."""


async def announced(conn: Connection, who: Identity) -> list[NewLabel]:
    require_lead(who)
    return await repository.labels(conn)


async def announce(conn: Connection, who: Identity, name: str, draft: LabelDraft) -> NewLabel:
    require_admin(who)
    if draft.queue and not await repository.names_of_queues(conn, [draft.queue]):
        raise LabelWithoutQueue(param="queue")
    return await repository.put_label(conn, name, draft, f"user:{who.id}")


async def withdraw(conn: Connection, who: Identity, name: str) -> None:
    """Tickets that have the label keep it, and its examples are learnt from."""
    require_admin(who)
    if not await repository.drop_label(conn, name):
        raise LabelNotFound
