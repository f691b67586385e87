"""A thousand corrections over HTTP, a retraining, and what it is worth on real questions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from app import db
from app.auth.schemas import Identity
from app.db import Connection
from app.triage import service as versions
from app.triage.schemas import Trained
from config import environment, profile
from models.artefacts import Artefacts
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel
from models.triage.text import Ticket
from pipelines.training import examples as files
from pipelines.training import registry
from pipelines.training.examples import Example
from pipelines.training.learning import Learner
from pipelines.training.retraining import NothingNew, retrain
from tests import factories
from tests.integration.conftest import Browser

DATA = Path(__file__).parents[3] / "shared" / "data" / "triage"
MODEL = environment.read().models / "all-minilm-l6-v2"
KNOWN_AT_FIRST, CORRECTIONS, LATER = 400, 1000, 1500


class WordLearner(Learner):
    """Without the real embedding model."""

    def embed(self, examples: Sequence[Example]) -> Vectors:
        return factories.WordVectors().encode([each.ticket.text for each in examples])


def learner(kind: type[Learner] = Learner) -> Learner:
    return kind(environment.read(), profile.load("test").embedder, Console(stderr=True))


async def first_version(
    conn: Connection, artefacts: Artefacts, examples: list[Example], by: Learner
) -> TriageModel:
    vectors = by.embed(examples)
    model, figures = by.learn(examples, vectors)
    trained = Trained(
        artefact=registry.keep_model(artefacts, model),
        data=registry.keep_data(artefacts, examples, vectors),
        data_fingerprint=files.fingerprint(examples),
        figures={**figures},
    )
    async with conn.transaction():
        version = await versions.register(conn, trained)
        await versions.promote(conn, None, version.id)
    return model


async def correct(conn: Connection, browser: Browser, examples: Sequence[Example]) -> Identity:
    """A customer, who is answered, opens these tickets, an agent says what they are about."""
    who = await factories.person(conn)
    customer, agent = browser(who), browser(await factories.agent(conn, "help"))
    for each in examples:
        draft: dict[str, Any] = {"subject": each.ticket.text[:300], "body": each.ticket.text}
        made = await customer.post("/api/v1/tickets", json=draft)
        assert made.status_code == 201, made.text
        path = f"/api/v1/tickets/{made.json()['id']}"
        changed = await agent.patch(path, json={"intent": each.label}, headers={"If-Match": "*"})
        assert changed.status_code == 200, changed.text
    return who


def accuracy(model: TriageModel, examples: Sequence[Example], vectors: Vectors) -> float:
    said = model.predict([each.ticket.text for each in examples], vectors)
    hits = [p.candidates[0].name == e.label for p, e in zip(said, examples, strict=True)]
    return float(np.mean(hits))


async def test_retraining_learns_a_new_label_from_corrections_alone(
    conn: Connection, database_url: str, browser: Browser, tmp_path: Path
) -> None:
    artefacts, by = Artefacts(str(tmp_path)), learner(WordLearner)
    base = [
        Example(Ticket(f"{word} {n}", f"{word} does not work"), label, "help")
        for label, word in (("print", "printer paper"), ("mail", "mailbox letters"))
        for n in range(20)
    ]
    await first_version(conn, artefacts, base, by)
    with pytest.raises(NothingNew, match="0 corrections"):
        await retrain(database_url, artefacts, by, promote=True)
    new = [Example(Ticket(f"scanner glass {n}", "scanner glass dirty"), "scan") for n in range(80)]
    await correct(conn, browser, new)
    summary = await retrain(database_url, artefacts, by, promote=True)
    assert (summary["state"], summary["labels"], summary["corrections"]) == ("active", 3, 80)
    assert summary["compared_losses"] == 0
    active = await versions.active(conn)
    assert active
    model = TriageModel.load(artefacts.fetch(active.artefact))
    text = "scanner glass broken"
    (said,) = model.predict([text], factories.WordVectors().encode([text]))
    assert said.candidates[0].name == "scan"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not DATA.exists(), reason="there is no ../shared/data beside this checkout")
@pytest.mark.skipif(not MODEL.exists(), reason="the embedding model was not prepared: `make setup`")
async def test_a_thousand_corrections_are_worth_it(
    pool: db.Pool, conn: Connection, database_url: str, browser: Browser, tmp_path: Path
) -> None:
    rows = files.read(DATA / "banking77" / "train.jsonl.gz")
    order = np.random.default_rng(0).permutation(len(rows))
    some = [rows[i] for i in order[: KNOWN_AT_FIRST + CORRECTIONS + LATER]]
    base, later = some[:KNOWN_AT_FIRST], some[-LATER:]
    artefacts, by = Artefacts(str(tmp_path)), learner()
    before = await first_version(conn, artefacts, base, by)
    await correct(conn, browser, some[KNOWN_AT_FIRST:-LATER])
    summary = await retrain(database_url, artefacts, by, promote=True)
    assert (summary["state"], summary["corrections"]) == ("active", CORRECTIONS)
    active = await versions.active(conn)
    assert active
    vectors = by.embed(later)
    was = accuracy(before, later, vectors)
    now = accuracy(TriageModel.load(artefacts.fetch(active.artefact)), later, vectors)
    print(f"accuracy on {LATER} later questions: {was:.3f} before, {now:.3f} after {CORRECTIONS} corrections")
    assert now >= was + 0.05
