"""Learning from what was solved: which question, which articles, who confirmed it, who takes it back.

An answer's case is confirmed by its customer, who found it helpful. A ticket's case is confirmed by the agent
who linked an article and ended the ticket, unless the customer reopens it or rates it 1 or 2.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from app import db
from app.auth import readers
from app.auth import service as auth
from app.auth.schemas import Identity
from app.cases import repository
from app.cases.schemas import (
    Case,
    CaseJob,
    Confirmed,
    Imported,
    LinkDraft,
    SimilarCase,
    Suggestion,
    Suggestions,
)
from app.db import Connection
from app.errors import Forbidden, NotFound
from app.jobs import service as jobs
from app.knowledge import service as knowledge
from app.knowledge.schemas import SearchResult
from app.state import State
from app.tickets import desk, followers
from app.tickets import service as tickets
from app.tickets.followers import Happening
from app.tickets.schemas import Ticket
from app.tickets.states import ENDED
from models.privacy.masking import masked
from models.retrieval.passages import Filters, PastCase

INDEX_CASE = "index_case"
DISSATISFIED = 2
"""A rating up to this says that what was linked did not solve it."""
SHOWN = 5


class CaseNotFound(NotFound):
    """There is no such case."""


class LinkNotFound(NotFound):
    """This article is not linked there."""


class CasesAreForStaff(Forbidden):
    """Only agents, supervisors and administrators work with solved cases."""


async def confirm_answer(
    conn: Connection, who: Identity, message_id: UUID, question: str, cited: Sequence[UUID]
) -> None:
    """The customer says that this answer solved it: what it cited solves questions like this one."""
    if not cited or not question.strip():
        return
    text = masked(question, [await auth.name_of(conn, who.id)])
    case_id = await repository.upsert(conn, "message_id", message_id, who.id, text, _audiences(who))
    await repository.link(conn, case_id, cited, "citation", None)
    await _settle(conn, case_id, confirmed=True)


async def deny_answer(conn: Connection, message_id: UUID) -> None:
    """The customer says that it did not help, or no longer: its case does not count."""
    case_id = await repository.of_answer(conn, message_id)
    if case_id is not None:
        await _settle(conn, case_id, confirmed=False)


async def link(conn: Connection, who: Identity, ticket_id: UUID, draft: LinkDraft) -> Case:
    """An agent says that this article solves the ticket; it counts once the ticket is ended."""
    _staff_only(who)
    ticket = await tickets.locked(conn, who, ticket_id)
    await knowledge.article(conn, who, draft.article_id)
    text = masked(f"{ticket.subject}\n{ticket.body}", [ticket.customer.name])
    case_id = await repository.upsert(conn, "ticket_id", ticket.id, ticket.customer.id, text, ["public"])
    await repository.link(conn, case_id, [draft.article_id], draft.via, who.id)
    await desk.note(conn, ticket_id, tickets.actor(who), "article_linked", draft.model_dump(mode="json"))
    await _settle(conn, case_id, confirmed=_stands(ticket))
    return await _found(conn, case_id)


async def unlink(conn: Connection, who: Identity, ticket_id: UUID, article_id: UUID) -> None:
    _staff_only(who)
    await tickets.get(conn, who, ticket_id)
    case = await repository.of_ticket(conn, ticket_id)
    if case is None:
        raise LinkNotFound
    await revoke(conn, who, case.id, article_id)
    await desk.note(conn, ticket_id, tickets.actor(who), "article_unlinked", {"article_id": str(article_id)})


async def revoke(conn: Connection, who: Identity, case_id: UUID, article_id: UUID) -> None:
    """Take a wrong link back: from the next search on it has no vote, and no citation brings it back."""
    _staff_only(who)
    await _found(conn, case_id)
    if not await repository.revoke(conn, case_id, article_id, who.id):
        raise LinkNotFound
    await _index(conn, case_id)


async def forget(conn: Connection, who: Identity, case_id: UUID) -> None:
    """Delete a case: its question, its links and, by a job, its vector."""
    _staff_only(who)
    if not await repository.delete(conn, case_id):
        raise CaseNotFound
    await _index(conn, case_id)


async def get(conn: Connection, who: Identity, case_id: UUID) -> Case:
    _staff_only(who)
    return await _found(conn, case_id)


async def page(
    conn: Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Case], UUID | None]:
    """Newest first, and where to go on if there are more."""
    _staff_only(who)
    found = await repository.page(conn, before, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def similar(conn: Connection, near: Sequence[PastCase], audiences: frozenset[str]) -> list[SimilarCase]:
    """The nearest of these cases that somebody with these audiences may see."""
    cases = await repository.shown(conn, [UUID(each.case_id) for each in near], audiences)
    found = [
        SimilarCase(
            case_id=case.id,
            question=case.question,
            similarity=round(each.similarity, 4),
            ticket_id=case.ticket_id,
            solved_at=case.confirmed_at or case.created_at,
            articles=[
                link
                for link in case.articles
                if not link.revoked_at and str(link.article_id) in each.articles
            ],
        )
        for each in near
        if (case := cases.get(UUID(each.case_id)))
    ]
    return found[:SHOWN]


async def suggestions(state: State, who: Identity, ticket_id: UUID) -> Suggestions:
    """Articles and cases that may solve the ticket. No connection is held while models run."""
    _staff_only(who)
    async with db.transaction(state.pool) as conn:
        ticket = await tickets.get(conn, who, ticket_id)
        own = await repository.of_ticket(conn, ticket_id)
        audiences = await readers.audiences(conn, who)
    found = await state.retriever.retrieve(
        f"{ticket.subject}\n{ticket.body}",
        filters=Filters(audiences=audiences),
        top_k=SHOWN,
        without_cases=[str(own.id)] if own else [],
    )
    cases = await db.read(state.pool, lambda conn: similar(conn, found.cases, audiences))
    linked = repository.linked(own)
    results = [SearchResult.of(passage) for passage in found.passages]
    articles = [Suggestion(**r.model_dump(), linked=r.article_id in linked) for r in results]
    return Suggestions(articles=articles, cases=cases, degraded=list(found.degraded))


async def add_imported(conn: Connection, cases: Sequence[Imported]) -> None:
    """Confirmed cases from elsewhere, for everybody, in the order given; their vectors follow by a job."""
    await repository.add_imported(conn, cases, ["public"])


async def confirmed(conn: Connection, limit: int) -> list[Confirmed]:
    """The newest cases that count, oldest first."""
    return await repository.confirmed(conn, limit)


async def keep_weights(
    conn: Connection, index: str, weights: Mapping[str, float], figures: Mapping[str, float], *, active: bool
) -> None:
    """Keep what was learnt of how much votes count; `active` makes replicas use it within seconds."""
    await repository.add_weights(conn, index, weights, figures, active=active)


@followers.follow
async def _follow(conn: Connection, ticket_id: UUID, what: Happening) -> None:
    """A ticket's case counts while the ticket is ended; a reopened one was not solved after all."""
    case = await repository.of_ticket(conn, ticket_id) if what == "changed" else None
    ticket = await desk.read(conn, ticket_id) if case else None
    if case and ticket:
        confirmed = _stands(ticket)
        if confirmed != (case.confirmed_at is not None):
            await _settle(conn, case.id, confirmed=confirmed)


def _stands(ticket: Ticket) -> bool:
    return ticket.status in ENDED and not (ticket.csat and ticket.csat.score <= DISSATISFIED)


async def _settle(conn: Connection, case_id: UUID, *, confirmed: bool) -> None:
    await repository.confirm(conn, case_id, confirmed=confirmed)
    await _index(conn, case_id)


async def _index(conn: Connection, case_id: UUID) -> None:
    payload = CaseJob(case_id=case_id).model_dump(mode="json")
    await jobs.enqueue(conn, INDEX_CASE, payload, dedupe_key=str(case_id))


async def _found(conn: Connection, case_id: UUID) -> Case:
    case = await repository.get(conn, case_id)
    if case is None:
        raise CaseNotFound
    return case


def _audiences(who: Identity) -> list[str]:
    """What staff ask is for staff; a customer's question helps everybody."""
    return ["agents"] if who.is_staff else ["public"]


def _staff_only(who: Identity) -> None:
    if not who.is_staff:
        raise CasesAreForStaff
