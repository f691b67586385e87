"""The life of triage's versions, and what is learnt from people's corrections.

A version is registered as a candidate, reads along in the shadow of the active one, and becomes active when
it has won on tickets that are newer than what either had learnt. Whoever asks to change that is an admin.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.auth.schemas import Identity
from app.db import Connection
from app.errors import Conflict, Forbidden, NotFound
from app.jobs import service as jobs
from app.triage import repository
from app.triage.comparison import compare
from app.triage.schemas import Corrected, Correction, Said, Standing, Trained, Version
from models.triage.protocol import Triage

TRAINING = "system:train"
RETRAIN = "triage_retrain"
"""The job that comes round every night."""

LEAST_SHADOW = timedelta(hours=1)
"""A version that cannot be loaded, or says nonsense, shows it within that time."""


class TriageVersionNotFound(NotFound):
    """There is no triage version of this id."""


class NotProven(Conflict):
    """This version has not won against the active one; say `without_proof` why it should decide."""


class NothingBefore(Conflict):
    """No version was active before this one."""


class ExampleGone(Conflict):
    """Somebody whose tickets were learnt from was erased meanwhile: train again."""


class IsActive(Conflict):
    """This version is active already."""


async def register(conn: Connection, trained: Trained) -> Version:
    """Record a trained artefact. It decides nothing until it is promoted."""
    return await repository.add_version(conn, trained)


async def active(conn: Connection) -> Version | None:
    return await repository.in_state(conn, "active")


async def shadow(conn: Connection) -> Version | None:
    return await repository.in_state(conn, "shadow")


async def page(
    conn: Connection, who: Identity, before: UUID | None, limit: int
) -> tuple[list[Version], str | None]:
    """Newest first, and the cursor of the next page."""
    require_lead(who)
    found = await repository.versions(conn, before, limit + 1)
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else None


async def get(conn: Connection, who: Identity, version_id: UUID) -> Version:
    require_lead(who)
    return await _version(conn, version_id)


async def standing(conn: Connection, who: Identity, version_id: UUID) -> Standing:
    """How it does against the active version on tickets that both read before a person corrected them."""
    version = await get(conn, who, version_id)
    deciding = await active(conn)
    comparison = None
    if deciding is not None and deciding.id != version.id:
        said = await repository.both_said(conn, version.id, deciding.id)
        if said:
            truth, one, other = zip(*said, strict=True)
            comparison = compare(truth, one, other, against=deciding.id)
    return Standing(decided=await repository.decided(conn, version.id), comparison=comparison)


async def cast_shadow(conn: Connection, who: Identity | None, version_id: UUID) -> Version:
    """Let the version read what the active one reads; the one that did so before is a candidate again."""
    if who is not None:
        require_admin(who)
    await repository.lock_versions(conn)
    version = await _version(conn, version_id)
    if version.state == "active":
        raise IsActive
    before = await shadow(conn)
    if before is not None:
        await repository.set_state(conn, before.id, "candidate")
    await repository.set_state(conn, version_id, "shadow")
    return await _version(conn, version_id)


async def promote(
    conn: Connection, who: Identity | None, version_id: UUID, *, without_proof: str | None = None
) -> Version:
    """Make this the version that decides: the first one there is, one that won, or for a reason given.

    `who` is nobody where training asks. Replicas take it up within two seconds.
    """
    if who is not None:
        require_admin(who)
    await repository.lock_versions(conn)
    version, deciding = await _version(conn, version_id), await active(conn)
    if version.state == "active":
        raise IsActive
    if deciding is not None and without_proof is None and not await _has_won(conn, version, deciding):
        raise NotProven(active=str(deciding.id))
    if deciding is not None:
        await repository.set_state(conn, deciding.id, "retired")
    await repository.set_state(conn, version_id, "active")
    reason = f": {without_proof}" if without_proof else ""
    await repository.set_promoted(conn, version_id, f"{_name(who)}{reason}")
    return await _version(conn, version_id)


async def promote_shadow(conn: Connection) -> Version | None:
    """Promote what has read along for an hour and has won; else `None`, and it reads on."""
    version, deciding = await shadow(conn), await active(conn)
    if version is None or not await repository.lies_in_shadow(conn, version.id, LEAST_SHADOW):
        return None
    if deciding is not None and not await _has_won(conn, version, deciding):
        return None
    return await promote(conn, None, version.id)


async def roll_back(conn: Connection, who: Identity) -> Version:
    """Put back the version that was active before; a second time, the one before that."""
    require_admin(who)
    await repository.lock_versions(conn)
    deciding = await active(conn)
    before = await repository.promoted_before(conn, deciding) if deciding else None
    if deciding is None or before is None:
        raise NothingBefore
    await repository.set_state(conn, deciding.id, "retired")
    await repository.set_state(conn, before.id, "active")
    return await _version(conn, before.id)


async def ask_to_retrain(conn: Connection, who: Identity) -> None:
    """Do now what is done every night."""
    require_admin(who)
    await jobs.enqueue(conn, RETRAIN, {}, dedupe_key="asked")


async def record(conn: Connection, ticket_id: UUID, triage: Triage) -> None:
    """Keep what the active version, and its shadow, said of this ticket."""
    for each in (triage, triage.shadow):
        said = _said(each, shadow=each is not triage) if each else None
        if said is not None:
            await repository.add_decision(conn, ticket_id, said)


async def unread(conn: Connection, version_id: UUID, ticket_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the tickets that this version has not read."""
    return await repository.unread(conn, version_id, ticket_ids)


async def correct(conn: Connection, ticket_id: UUID, by: str, change: Correction) -> None:
    """A person's word on a ticket is an example to learn from, in the transaction of their change."""
    if change != Correction():
        await repository.correct(conn, ticket_id, by, change)


async def hold_examples(conn: Connection, ticket_ids: Sequence[UUID]) -> None:
    """That these examples are still there, and stay until this transaction ends: `ExampleGone` where not.

    An erasure that takes one of them along waits, and then finds the version that was learnt from it.
    """
    if await repository.hold_examples(conn, ticket_ids) < len(ticket_ids):
        raise ExampleGone


async def corrections(conn: Connection) -> list[Corrected]:
    return await repository.corrections(conn)


def require_lead(who: Identity) -> None:
    if who.role not in {"supervisor", "admin"}:
        raise Forbidden


def require_admin(who: Identity) -> None:
    if who.role != "admin":
        raise Forbidden


async def _version(conn: Connection, version_id: UUID) -> Version:
    version = await repository.version(conn, version_id)
    if version is None:
        raise TriageVersionNotFound
    return version


async def _has_won(conn: Connection, version: Version, deciding: Version) -> bool:
    """When it was trained, against this very version; or in its shadow since."""
    trained = version.comparison
    if trained is not None and trained.against == deciding.id and trained.is_win:
        return True
    said = await repository.both_said(conn, version.id, deciding.id)
    if not said:
        return False
    truth, one, other = zip(*said, strict=True)
    return compare(truth, one, other, against=deciding.id).is_win


def _name(who: Identity | None) -> str:
    return f"user:{who.id}" if who else TRAINING


def version_of(triage: Triage) -> UUID | None:
    """`None` where nothing was learnt yet: there is no version then."""
    try:
        version_id = UUID(triage.version)
    except ValueError:
        return None
    return version_id if triage.candidates else None


def _said(triage: Triage, *, shadow: bool) -> Said | None:
    version_id = version_of(triage)
    if version_id is None:
        return None
    return Said(
        version_id=version_id,
        shadow=shadow,
        intent=triage.intent.name if triage.intent else None,
        queue=triage.queue.name if triage.queue else None,
        priority=triage.priority,
        best=triage.candidates[0].name,
        probability=triage.candidates[0].probability,
        familiarity=triage.familiarity,
        projection=list(triage.projection),
    )
