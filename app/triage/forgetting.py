"""Takes the tickets of somebody who was erased out of what triage has learnt.

A job of its own, asked for in the erasure's transaction: a training that read their corrections before has
either registered its version by then, and this finds it, or is refused when it wants to
(`service.hold_examples`).
"""

import asyncio
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

from app import db
from app.jobs.schemas import Effect, Handler, Job
from app.triage import repository
from app.triage.people import FORGET, Forgetting
from models.artefacts import Artefacts
from models.triage.artefact import ArtefactError, TriageModel

FOLDER = "triage"


def handlers(pool: db.Pool, artefacts: Artefacts) -> Mapping[str, Handler]:
    async def forget(job: Job, effect: Effect) -> None:
        """A second run finds nothing left; replicas look every two seconds what is to be read anew."""
        person = Forgetting.model_validate(job.payload).person_id
        async with db.transaction(pool) as conn:
            tickets = await repository.tickets_of(conn, person)
        if tickets:
            names = await asyncio.to_thread(_take_out, artefacts, tickets)
            async with effect() as conn:
                await repository.set_forgot(conn, names)

    return {FORGET: forget}


def _take_out(artefacts: Artefacts, tickets: Collection[UUID]) -> list[str]:
    """Of every artefact there is, also of versions that nobody registered."""
    names = artefacts.names(FOLDER)
    for name in names:
        try:
            left = TriageModel.load(artefacts.fetch(name)).without(tickets)
        except ArtefactError:
            continue  # the folder of examples from files, or a format that knows no tickets
        if left is not None:
            with tempfile.TemporaryDirectory() as folder:
                left.save(Path(folder) / "model")
                artefacts.replace(name, Path(folder) / "model")
    return names
