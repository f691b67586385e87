"""Where trained versions go and what they are learnt from: artefacts under their URL, rows in PostgreSQL."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np

from app import db
from app.db import Connection
from app.tickets import desk
from app.triage import service as versions
from app.triage.schemas import Corrected, Version
from config.embedded.stores import Stores
from config.environment import Environment
from models.artefacts import Artefacts
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from models.triage.protocol import PRIORITIES, SENTIMENTS
from models.triage.text import Ticket
from pipelines.training import examples as files
from pipelines.training.examples import Example
from pipelines.training.learning import Summary

UNLABELLED = ""
"""Of examples that only priority and sentiment are learnt from."""

TRAINING_LOCK = 0x74_7261_696E
"""Two trainings at once would only promote past each other."""


class TrainingRuns(RuntimeError):
    """Another training of triage is under way; this one has nothing to add."""


@contextmanager
def database(here: Environment) -> Iterator[str]:
    """The environment's, or the home's embedded one, which is started if it is down."""
    if here.database_url:
        yield here.require_database_url()
        return
    with Stores(here.home, wanted=frozenset({"postgres"})) as addresses:
        yield addresses.database_url or ""


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[db.Pool]:
    """A migrated database, for this process and no other training."""
    await db.migrate(dsn)
    pool = await db.connect(dsn, max_size=3, statement_timeout_s=30)
    try:
        async with pool.acquire() as conn:
            if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", TRAINING_LOCK):
                raise TrainingRuns("another training of triage is under way; this one has nothing to add")
            yield pool
    finally:
        await pool.close()


async def corrected(conn: Connection) -> list[tuple[Corrected, Example]]:
    """What people made of tickets, oldest first. Where they named no queue or intent there is none."""
    found = [each for each in await versions.corrections(conn) if each.label]
    texts = await desk.texts(conn, [each.ticket_id for each in found])
    return [(each, _example(each, *texts[each.ticket_id])) for each in found if each.ticket_id in texts]


async def judged(conn: Connection) -> list[Example]:
    """Tickets of which people said the priority or the sentiment, and neither intent nor queue."""
    found = [each for each in await versions.corrections(conn) if not each.label]
    texts = await desk.texts(conn, [each.ticket_id for each in found])
    return [_example(each, *texts[each.ticket_id]) for each in found if each.ticket_id in texts]


def _example(correction: Corrected, subject: str, body: str) -> Example:
    priority = next((each for each in PRIORITIES if each == correction.priority), None)
    sentiment = next((each for each in SENTIMENTS if each == correction.sentiment), None)
    return Example(
        Ticket(subject, body),
        correction.label or UNLABELLED,
        correction.queue,
        priority,
        sentiment,
        correction.ticket_id,
    )


def keep_model(artefacts: Artefacts, model: TriageModel) -> str:
    """The artefact's name."""
    name = f"triage/{model.version}"
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        artefacts.put(name, Path(folder) / "model")
    return name


def keep_data(artefacts: Artefacts, examples: Sequence[Example], vectors: Vectors) -> str:
    """Examples and their vectors, so that the next training embeds only what is new; the artefact's name."""
    name = f"triage/data/{files.fingerprint(examples)[:16]}"
    if artefacts.exists(name):
        return name
    with tempfile.TemporaryDirectory() as folder:
        files.write(examples, Path(folder) / "examples.jsonl.gz")
        np.save(Path(folder) / "vectors.npy", vectors.astype(np.float16))
        artefacts.put(name, Path(folder))
    return name


def read_data(artefacts: Artefacts, version: Version) -> tuple[list[Example], Vectors]:
    """What a version was learnt from, corrections not among it."""
    if version.data is None:
        return [], np.empty((0, 0), dtype=np.float32)
    folder = artefacts.fetch(version.data)
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    return files.read(folder / "examples.jsonl.gz"), vectors.astype(np.float32)


def summary(version: Version, model: TriageModel, seconds: float) -> Summary:
    """What a training has to show for itself."""
    won = version.comparison
    return {
        "version": str(version.id),
        "state": version.state,
        "artefact": version.artefact,
        "labels": len(model.classifier.labels),
        "queues": len(model.queues),
        **version.figures,
        **({f"compared_{name}": value for name, value in won.model_dump(mode="json").items()} if won else {}),
        "seconds": round(seconds, 1),
    }
