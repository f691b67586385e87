"""A cross-encoder learns from solved cases, goes on where it was, and answers only where it wins."""

import math
import shutil
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from app import db
from app.cases import service as cases
from app.cases.schemas import Imported
from app.knowledge import rerankers
from config import environment
from config.embedded.stores import Addresses
from config.environment import CHECKOUT
from models.artefacts import Artefacts
from models.embedding.half import weights
from models.reranking.cross_encoder import CrossEncoder
from models.reranking.export import export
from models.reranking.half import TorchCrossEncoder
from models.reranking.protocol import Scores
from models.reranking.training import Group, NotEnoughCases, Training, Unfinished, train, usable
from models.retrieval.passages import Passage
from pipelines.training import reranker
from pipelines.training.reranking import Asked, judge
from tests import factories
from tests.integration.conftest import Browser
from tests.integration.knowledge import Knowledge, prepared

EXAMPLES = CHECKOUT / "examples" / "knowledge"

SMALL = Training(epochs=1, groups=2, negatives=2, max_tokens=32, least=4, device="cpu")
GROUPS = [
    Group(f"my {thing} is broken", (f"How to repair a {thing}",), ("Invoices", "Sync", "Refunds"))
    for thing in ("lamp", "door", "lock", "key", "lid", "wheel", "light", "bell")
]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    start, said = weights(prepared_folder()), list[str]()
    whole = train(start, GROUPS, SMALL, checkpoint=tmp_path / "whole.pt", report=said.append)
    assert len(said) == 4
    kept, often = tmp_path / "parts.pt", replace(SMALL, save_every_s=0.0)
    with pytest.raises(Unfinished, match="go on"):
        train(start, GROUPS, often, checkpoint=kept, report=said.append, until=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(start, GROUPS, often, checkpoint=kept, report=Halting(2))
    said.clear()
    parts = train(start, GROUPS, often, checkpoint=kept, report=said.append)
    assert 0 < len(said) < 4, "what was learnt is not learnt again"
    one, other = [each.model.classifier.weight.detach().numpy() for each in (whole, parts)]
    assert one == pytest.approx(other, abs=1e-6)

    export(whole, tmp_path / "model")
    served = CrossEncoder(tmp_path / "model", max_tokens=32)
    documents = ["How to repair a lamp", "Invoices", "Sync your notes on every device"]
    logits = whole.predict([("my lamp is broken", each) for each in documents], activation_fn=identity())
    assert served.score("my lamp is broken", documents) == pytest.approx(logits.reshape(-1), abs=0.1)

    whole.save_pretrained(str(tmp_path / "published"))
    for precision, within in (("fp32", 1e-4), ("bf16", 0.05)):
        model = TorchCrossEncoder(tmp_path / "published", precision, max_tokens=32, device="cpu")
        assert model.score("my lamp is broken", documents) == pytest.approx(logits.reshape(-1), abs=within)


class Halting:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, line: str) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def identity() -> object:
    import torch

    return torch.nn.Identity()


def prepared_folder() -> Path:
    return environment.read().models / prepared().name


def test_too_few_cases_are_said_so() -> None:
    with pytest.raises(NotEnoughCases, match="8 cases"):
        usable(GROUPS, Training(negatives=2))
    assert len(usable([*GROUPS, Group("no answer", (), ("a", "b", "c"))], SMALL)) == 8


class Knows:
    """Scores what solves a question above all else, as far as it is `right`."""

    name = "knows"

    def __init__(self, *, right: bool) -> None:
        self.right = right

    def score(self, query: str, documents: Sequence[str], signs: Sequence[bytes] = ()) -> Scores:
        return np.array([(query in each) == self.right for each in documents], np.float32)


def case(number: int) -> Asked:
    passages = tuple(
        Passage(f"{number}/{i}", str(i), str(i), title, "", None, "text", 1, -float(i))
        for i, title in enumerate(["other"] * 3 + [f"question {number}"] + ["other"] * 2)
    )
    return Asked(f"question {number}", frozenset({"3"}), passages, passages[3:4])


def test_a_reranker_wins_on_newer_cases_or_not_at_all() -> None:
    middle, newest = [case(i) for i in range(10)], [case(i) for i in range(10, 40)]
    good = judge(Knows(right=True), middle, newest, lambda _: None)
    assert good.won
    assert (good.with_it, good.without) == (1.0, pytest.approx(1 / np.log2(5)))
    bad = judge(Knows(right=False), middle, newest, lambda _: None)
    assert not bad.won
    assert case(1).group == Group("question 1", ("question 1\ntext",), ("other\ntext",) * 5)


async def test_only_what_won_reranks_unless_somebody_insists(conn: db.Connection) -> None:
    lost, won = [
        await rerankers.add(conn, f"reranker/{i}", weight=0.4, max_tokens=160, figures={}, won=bool(i))
        for i in range(2)
    ]
    with pytest.raises(rerankers.RerankerHasNotWon):
        await rerankers.promote(conn, lost.id)
    assert await rerankers.active(conn) is None
    assert (await rerankers.promote(conn, won.id)).active
    assert (await rerankers.promote(conn, lost.id, without_proof=True)).active
    found = await rerankers.active(conn)
    assert found
    assert found.id == lost.id
    await rerankers.retire(conn)
    assert await rerankers.active(conn) is None


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_cases_of_a_desk_become_a_version(
    pool: db.Pool, stores: Addresses, conn: db.Connection, tmp_path: Path
) -> None:
    assert stores.milvus_uri
    knowledge = Knowledge.new(pool, stores.milvus_uri)
    folder = tmp_path / "kb"
    folder.mkdir()
    for file in sorted(EXAMPLES.glob("*.md"))[:15]:
        shutil.copy(file, folder)
    await knowledge.index(folder)
    rows = await conn.fetch("SELECT id, title, summary FROM articles WHERE visibility = 'public'")
    imported = [
        Imported(f"{row['id']}/{i}", question, (row["id"],))
        for row in rows
        for i, question in enumerate([row["title"], f"Please help. {row['title']}?", f"{row['title']} fails"])
    ]
    async with db.transaction(pool) as writing:
        await cases.add_imported(writing, imported)
    here = environment.read().model_copy(
        update={"home": tmp_path / "home", "artefacts": str(tmp_path / "artefacts")}
    )
    args = Namespace(last=len(imported), seconds=math.inf, dataset=None, keep=None, promote=True)
    few = replace(SMALL, groups=4, negatives=3, max_tokens=48)
    summary = await reranker.fitted(pool, knowledge.retriever(), here, args, few, lambda _: None)
    version = await rerankers.get(conn, UUID(str(summary["version"])))
    assert version.active == version.won == summary["won"]
    assert 0 < version.weight <= 1
    folder = Artefacts(here.artefacts).fetch(version.artefact)
    assert CrossEncoder(folder).score("a question", ["a text", "another"]).shape == (2,)
    assert not list((here.home / "training").glob("*.pt")), "a training that ended leaves no checkpoint"
    await knowledge.store.close()


async def test_an_admin_promotes_and_retires_a_reranker(browser: Browser, conn: db.Connection) -> None:
    admin, customer = browser(await factories.person(conn, "admin")), browser(await factories.person(conn))
    lost = await rerankers.add(conn, "reranker/1", weight=0.4, max_tokens=160, figures={}, won=False)
    path = f"/api/v1/knowledge/rerankers/{lost.id}/promote"
    assert (await admin.post(path)).json()["type"].endswith("reranker-has-not-won")
    assert (await customer.post(path)).status_code == 403
    assert (await admin.post(path, json={"without_proof": True})).json()["active"]
    (listed,) = (await admin.get("/api/v1/knowledge/rerankers")).json()["items"]
    assert (listed["id"], listed["active"]) == (str(lost.id), True)
    assert (await customer.get("/api/v1/knowledge/rerankers")).status_code == 403
    assert (await admin.delete("/api/v1/knowledge/rerankers/active")).status_code == 204
    assert await rerankers.active(conn) is None
