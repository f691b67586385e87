"""What comes after conversations: what they were about, and that silence ends them."""

from collections.abc import Mapping

from app import db
from app.chat import service
from app.chat.schemas import ConversationJob
from app.jobs import service as jobs
from app.jobs.schemas import Effect, Handler, Job
from app.routing import service as routing
from models.triage.protocol import Triager

SETTLE = "settle_conversations"
SUBJECT = 200
"""Characters of a question that stand for a ticket's subject."""


def handlers(pool: db.Pool, triager: Triager) -> Mapping[str, Handler]:
    """What a `Runner` needs to know of conversations; a row of `schedules` says how often it settles them."""

    async def settle(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            if await service.settle_silent(conn):
                await jobs.enqueue(conn, SETTLE, {}, dedupe_key="more")

    async def classify(job: Job, effect: Effect) -> None:
        """No connection is held while the model thinks."""
        conversation_id = ConversationJob.model_validate(job.payload).conversation_id
        async with db.transaction(pool) as conn:
            question = await service.first_question(conn, conversation_id)
        if question is None:
            return
        triage = await triager.triage(question[:SUBJECT], question)
        async with effect() as conn:
            await service.note_triage(conn, conversation_id, routing.decision(triage))

    return {SETTLE: settle, service.CLASSIFY: classify}
