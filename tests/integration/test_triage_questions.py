"""Labels that the model cannot know yet: an LLM is asked, within bounds, and a person where it cannot say."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.db import Connection
from app.jobs import repository as jobs
from app.jobs.runner import OnceEffect
from app.routing.jobs import handlers
from app.tickets import desk
from app.tickets.schemas import Ticket
from app.triage import questions_repository as asked
from app.triage import service as versions
from app.triage.questions import Questions
from app.triage.schemas import LabelDraft, Trained, Version
from app.usage.budgets import Book
from config.profile import AskingSettings
from models.llm.catalogue import Catalogue
from models.triage.asking import Asker
from models.triage.learnt import LearntTriager
from tests import factories
from tests.integration.conftest import Browser
from tests.unit.scripted import DEADLINES, Scripted, link

PATH = "/api/v1/admin/triage/labels"
STRANGE = {"subject": "Telescope", "body": "the stars and the moons of jupiter tonight"}
KNOWN = {"subject": "password", "body": "login refused reset password account locked"}


def says(label: str) -> Scripted:
    return Scripted("small", words=[json.dumps({"label": label})])


class Desk:
    """A desk with a queue for what is unknown and an LLM; it has learnt passwords, invoices and notes."""

    def __init__(self, pool: db.Pool, conn: Connection, version: Version) -> None:
        self.pool, self.conn, self.version = pool, conn, version

    async def triage(
        self, provider: Scripted, text: Mapping[str, str] = STRANGE, least: float = 0.45, **prices: Any
    ) -> Ticket:
        """A new ticket after all its jobs."""
        triager = LearntTriager(
            factories.triage_model(),
            factories.WordVectors(),
            abstain_below=0.6,
            version=str(self.version.id),
        )
        book = Book(self.pool)
        await book.look()
        limits = AskingSettings(per_day=2, few=3, deadline_s=1.0)
        models = Catalogue([link(provider, **prices)], DEADLINES)
        questions = Questions(self.pool, book, Asker(models, deadline_s=limits.deadline_s), limits)
        known = handlers(self.pool, triager, questions, least=least)
        made = await factories.ticket(self.conn, **text)
        while taken := await self._take():
            for job in taken:
                await known[job.kind](job, OnceEffect(self.pool, job))
        found = await desk.read(self.conn, made.id)
        assert found
        return found

    async def _take(self) -> list[Any]:
        async with db.transaction(self.pool) as conn:
            return list(await jobs.take(conn, limit=10, lease_s=60))

    async def question(self, ticket: UUID) -> Any:
        return await self.conn.fetchrow("SELECT * FROM triage_questions WHERE ticket_id = $1", ticket)


@pytest.fixture
async def busy(pool: db.Pool, conn: Connection) -> Desk:
    for queue in ("accounts", "astronomy"):
        await factories.agent(conn, queue)
    await factories.agent(conn, "triage")
    await conn.execute("UPDATE queues SET takes_unknown = (name = 'triage')")
    trained = Trained(
        artefact="triage/x", data=None, data_fingerprint="f", figures={}, label_counts={"password_reset": 8}
    )
    async with conn.transaction():
        version = await versions.register(conn, trained)
        await versions.promote(conn, None, version.id)
        draft = LabelDraft(description="Stars, telescopes and what to see tonight", queue="astronomy")
        await asked.put_label(conn, "stargazing", draft, "user:x")
    return Desk(pool, conn, version)


async def test_an_announced_label_is_asked_for_and_marked_as_the_llms(busy: Desk) -> None:
    provider = says("stargazing")
    ticket = await busy.triage(provider)
    assert (ticket.intent, ticket.queue) == ("stargazing", "astronomy")
    assert ticket.assignee
    assert ticket.triage
    assert ticket.triage["source"] == "llm"
    assert ticket.triage["intent"] == {"name": "stargazing", "probability": 0.5}
    assert "0 of 0 of its labels" in ticket.triage["reasons"][0]
    assert ticket.triage["version"] == str(busy.version.id)
    (request,) = provider.requests
    assert "stargazing: Stars, telescopes" in request["messages"][1]["content"]
    question = await busy.question(ticket.id)
    assert (question["outcome"], question["label"], question["decided"]) == ("answered", "stargazing", True)
    assert (question["model"], question["prompt_tokens"]) == ("small", 10)


async def test_what_triage_knows_is_not_asked(busy: Desk) -> None:
    provider = says("stargazing")
    ticket = await busy.triage(provider, KNOWN)
    assert (ticket.intent, ticket.queue, provider.requests) == ("password_reset", "accounts", [])
    assert ticket.triage
    assert ticket.triage["source"] == "model"


async def test_where_every_label_is_known_nobody_is_asked(busy: Desk) -> None:
    await busy.conn.execute("DELETE FROM triage_labels")
    provider = says("stargazing")
    ticket = await busy.triage(provider)
    assert (ticket.intent, ticket.queue, provider.requests) == (None, "triage", [])
    assert ticket.assignee, "somebody sorts it"


@pytest.mark.parametrize(
    ("provider", "outcome"),
    [
        (Scripted("small", at=0, then="die"), "failed"),
        (Scripted("small", words=['{"label": "admin"}']), "refused"),
        (says("none of these"), "none"),
    ],
)
async def test_without_an_answer_a_person_decides(busy: Desk, provider: Scripted, outcome: str) -> None:
    ticket = await busy.triage(provider)
    assert (ticket.intent, ticket.queue) == (None, "triage")
    assert ticket.assignee
    assert (await busy.question(ticket.id))["outcome"] == outcome


async def test_a_day_has_only_so_many_questions(busy: Desk) -> None:
    provider = says("stargazing")
    queues = [(await busy.triage(provider)).queue for _ in range(4)]
    assert queues == ["astronomy", "astronomy", "triage", "triage"]
    assert len(provider.requests) == 2
    await busy.conn.execute("UPDATE triage_questions SET asked_at = asked_at - interval '1 day'")
    assert (await busy.triage(provider)).queue == "astronomy"


async def test_a_spent_budget_asks_nobody(busy: Desk) -> None:
    await busy.conn.execute(
        """
        INSERT INTO budgets (name, holder, period, limit_usd, hard_limit_usd)
        VALUES ('all', 'everybody', 'day', 0, 0)
        """
    )
    provider = says("stargazing")
    ticket = await busy.triage(provider, prompt_price=1.0, completion_price=1.0)
    assert (ticket.queue, provider.requests) == ("triage", [])
    assert (await busy.question(ticket.id))["outcome"] == "budget"


async def test_an_llm_that_people_keep_correcting_is_not_believed_any_more(
    busy: Desk, browser: Browser
) -> None:
    agent = browser(await factories.person(busy.conn, "agent"))
    for _ in range(2):
        wrong = await busy.triage(says("stargazing"))
        said = await agent.patch(
            f"/api/v1/tickets/{wrong.id}", json={"intent": "gardening"}, headers={"If-Match": "*"}
        )
        assert said.status_code == 200, said.text
    await busy.conn.execute("UPDATE triage_questions SET asked_at = asked_at - interval '1 day'")
    ticket = await busy.triage(says("stargazing"))
    assert (ticket.intent, ticket.queue) == (None, "triage")
    question = await busy.question(ticket.id)
    assert (question["label"], question["decided"]) == ("stargazing", False)
    options = await asked.unlearnt(busy.conn, busy.version.id, 3, 12)
    assert {each.name for each in options} == {"gardening", "stargazing"}, "what people say is new to it too"


async def test_an_llm_whose_labels_stand_is_believed_more(busy: Desk, browser: Browser) -> None:
    agent = browser(await factories.person(busy.conn, "supervisor"))
    good = await busy.triage(says("stargazing"))
    for to in ("open", "resolved"):
        moved = await agent.post(f"/api/v1/tickets/{good.id}/transitions", json={"to": to})
        assert moved.status_code == 200, moved.text
    ticket = await busy.triage(says("stargazing"))
    assert ticket.triage
    assert ticket.triage["intent"] == {"name": "stargazing", "probability": 0.6667}
    assert "1 of 1 of its labels" in ticket.triage["reasons"][0]


async def test_labels_are_announced_over_http(conn: Connection, browser: Browser) -> None:
    admin, lead = [browser(await factories.person(conn, role)) for role in ("admin", "supervisor")]
    draft = {"description": "Signing in with a passkey", "queue": "accounts"}
    assert (await admin.put(f"{PATH}/passkeys", json=draft)).json()["type"].endswith("label-without-queue")
    await factories.queue(conn, "accounts")
    assert (await lead.put(f"{PATH}/passkeys", json=draft)).status_code == 403
    assert (await admin.put(f"{PATH}/passkeys", json=draft)).status_code == 200
    assert (await admin.put(f"{PATH}/passkeys", json=draft | {"queue": None})).json()["queue"] is None
    (item,) = (await lead.get(PATH)).json()["items"]
    assert (item["name"], item["description"]) == ("passkeys", draft["description"])
    assert (await admin.delete(f"{PATH}/passkeys")).status_code == 204
    assert (await admin.delete(f"{PATH}/passkeys")).status_code == 404
