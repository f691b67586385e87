"""What triage has learnt forgets the tickets of somebody who was erased, in every version that there is."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from app import db
from app.auth.schemas import Identity
from app.db import Connection
from app.jobs.runner import Runner
from app.triage import forgetting, people
from app.triage import service as versions
from config.profile import JobSettings
from models.artefacts import Artefacts
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from models.triage.text import Ticket
from pipelines.training.examples import Example
from pipelines.training.learning import Aside
from pipelines.training.retraining import retrain
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.test_triage_corrections import WordLearner, correct, first_version, learner

NAME = "quillfeather"
TEXT = "scanner glass broken"
WAITING = "SELECT true FROM jobs WHERE kind = $1 AND status <> 'done'"


def tickets(word: str, label: str, more: str = "") -> list[Example]:
    return [Example(Ticket(f"{word} {n} {more}", f"{word} is dirty"), label, "help") for n in range(8)]


KNOWN = [*tickets("printer paper", "print"), *tickets("mailbox letters", "mail")]


async def run(pool: db.Pool, artefacts: Artefacts) -> None:
    stop = asyncio.Event()
    handlers = forgetting.handlers(pool, artefacts)
    working = asyncio.create_task(Runner(pool, handlers, JobSettings(poll_s=0.02)).run(stop))
    async with asyncio.timeout(20):
        while await pool.fetchval(WAITING, people.FORGET):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await working


async def erase(conn: Connection, person: Identity) -> None:
    async with conn.transaction():
        await people.HOLDINGS.forget(conn, person.id)


def known(model: TriageModel) -> set[str]:
    return {term for term in model.classifier.words.terms if NAME in term}


async def test_vectors_and_words_of_who_was_erased_go_from_every_version(
    pool: db.Pool, conn: Connection, database_url: str, browser: Browser, tmp_path: Path
) -> None:
    artefacts, by = Artefacts(str(tmp_path)), learner(WordLearner)
    await first_version(conn, artefacts, KNOWN, by)
    erased = await correct(conn, browser, tickets("scanner glass", "scan", NAME))
    await correct(conn, browser, tickets("scanner lamp", "scan"))
    await retrain(database_url, artefacts, by, promote=False)
    first, second = await versions.active(conn), await versions.shadow(conn)
    assert first
    assert second
    before = TriageModel.load(artefacts.fetch(second.artefact))
    assert known(before)
    await erase(conn, erased)
    await run(pool, artefacts)
    after = TriageModel.load(artefacts.fetch(second.artefact))
    was, now = before.classifier.neighbours, after.classifier.neighbours
    assert (len(was.vectors), len(now.vectors)) == (32, 24)
    texts = [each.ticket.text for each in tickets("scanner glass", "scan", NAME)]
    gone = factories.WordVectors().encode(texts)
    assert (was.vectors @ gone.T).max() > 0.99, "they were there"
    assert (now.vectors @ gone.T).max() < 0.99
    assert not known(after)
    assert NAME not in (artefacts.fetch(second.artefact) / "model.json").read_text()
    assert {"scanner", "lamp", "dirty"} <= set(after.classifier.words.terms), "others have these words too"
    assert "glass" not in after.classifier.words.terms
    for model in (before, after):
        (said,) = model.predict([TEXT], factories.WordVectors().encode([TEXT]))
        assert said.candidates[0].name == "scan"
    told = await versions.shadow(conn)
    assert told
    assert told.forgot_at, "replicas read it anew"
    assert after.without([]) is None


async def test_a_training_that_read_the_tickets_before_is_not_registered_after(
    conn: Connection, database_url: str, browser: Browser, tmp_path: Path
) -> None:
    artefacts = Artefacts(str(tmp_path))
    await first_version(conn, artefacts, KNOWN, learner(WordLearner))
    erased = await correct(conn, browser, tickets("scanner glass", "scan", NAME))
    await correct(conn, browser, tickets("scanner lamp", "scan"))

    async def meanwhile() -> None:
        other = await asyncpg.connect(database_url)
        await db.speak_json(other)
        await erase(other, erased)
        await other.close()

    class Interrupted(WordLearner):
        def learn(
            self, examples: Sequence[Example], vectors: Vectors, aside: Aside | None = None
        ) -> tuple[TriageModel, dict[str, float]]:
            with ThreadPoolExecutor() as thread:
                thread.submit(asyncio.run, meanwhile()).result()
            return super().learn(examples, vectors, aside)

    before = artefacts.names(forgetting.FOLDER)
    with pytest.raises(versions.ExampleGone):
        await retrain(database_url, artefacts, learner(Interrupted), promote=False)
    assert await versions.shadow(conn) is None
    assert artefacts.names(forgetting.FOLDER) == before


async def test_an_erasure_waits_for_a_version_that_is_being_registered(
    pool: db.Pool, conn: Connection, browser: Browser
) -> None:
    erased = await correct(conn, browser, tickets("scanner glass", "scan")[:1])
    held = [each.ticket_id for each in await versions.corrections(conn)]
    async with db.transaction(pool) as registering:
        await versions.hold_examples(registering, held)
        erasing = asyncio.create_task(erase(conn, erased))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(erasing), 0.3)
    await erasing
    with pytest.raises(versions.ExampleGone):
        await versions.hold_examples(conn, held)
