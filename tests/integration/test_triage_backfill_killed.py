"""Triage's jobs on a real Ray: a back-fill that is killed goes on, and training embeds as it does without."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.db import Connection
from app.triage import service as versions
from app.triage.schemas import Trained
from config import environment, profile
from models.artefacts import Artefacts
from pipelines.training import examples as files
from pipelines.training import registry
from pipelines.training.embedding import RAY_FROM, embed
from pipelines.training.learning import Learner
from tests import factories
from tests.integration.test_triage_backfill import counts

ROOT = Path(__file__).parents[2]
HERE = environment.read()
SAMPLES = ROOT / "examples" / "tickets.jsonl"
TICKETS = 2500

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(500),
    pytest.mark.skipif(
        not (HERE.models / "all-minilm-l6-v2").exists(),
        reason="the embedding model was not prepared: `make setup`",
    ),
]


async def desk_with_old_tickets(conn: Connection, artefacts: Artefacts) -> None:
    """The sample desk's version, and its tickets over and over, each a little different."""
    examples = files.read(SAMPLES)
    learner = Learner(HERE, profile.load("test").embedder, Console(stderr=True))
    model, _ = learner.learn(examples, learner.embed(examples))
    for queue in model.queues:
        await factories.queue(conn, queue)
    trained = Trained(
        artefact=registry.keep_model(artefacts, model), data=None, data_fingerprint="f", figures={}
    )
    async with conn.transaction():
        await versions.promote(conn, None, (await versions.register(conn, trained)).id)
        customer = await factories.person(conn)
        for n in range(TICKETS):
            ticket = examples[n % len(examples)].ticket
            await factories.ticket(conn, customer, subject=f"{n} {ticket.subject}", body=ticket.body)


def test_training_embeds_the_same_on_ray(tmp_path: Path) -> None:
    texts = [f"{n} notes do not sync on my phone" for n in range(RAY_FROM + 7)]
    settings, here = profile.load("test").embedder, HERE.model_copy(update={"home": tmp_path})
    console = Console(stderr=True)
    on_ray, here_only = [embed(texts, settings, here, console=console, on_ray=each) for each in (True, False)]
    assert np.allclose(on_ray, here_only, atol=1e-5)


async def test_killed_and_run_again_every_ticket_is_read_once(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    artefacts = tmp_path / "artefacts"
    await desk_with_old_tickets(conn, Artefacts(str(artefacts)))
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ESERVICE_HOME": str(tmp_path / "home"),
        "ESERVICE_MODELS": str(HERE.models),
        "ESERVICE_ARTEFACTS": str(artefacts),
        "ESERVICE_PROFILE": "test",
    }
    command = (sys.executable, "-m", "pipelines.backfill", "triage")
    first = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env)
    try:
        async with asyncio.timeout(200):
            while (await counts(conn))[0] < 200:
                assert first.returncode is None
                await asyncio.sleep(0.05)
    finally:
        first.send_signal(signal.SIGKILL)
        await first.wait()
    written = (await counts(conn))[0]
    assert 200 <= written < TICKETS
    second = await asyncio.create_subprocess_exec(
        *command, "--json", tmp_path / "done.json", cwd=ROOT, env=env
    )
    assert await second.wait() == 0
    print((tmp_path / "done.json").read_text(), f"{written} before the kill")
    assert (await counts(conn))[:2] == (TICKETS, TICKETS)
    again = await conn.fetchval(
        """
        SELECT count(*) FROM (SELECT 1 FROM ticket_events WHERE kind = 'triaged'
                               GROUP BY ticket_id HAVING count(*) > 1) AS twice
        """
    )
    assert again == 0
