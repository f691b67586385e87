"""Makes what tests need, in a line: people, agents, tickets, a small triage model."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import count
from uuid import UUID

import numpy as np

from app.auth import service as auth
from app.auth.schemas import Identity, Role
from app.db import Connection
from app.routing import repository as routing
from app.routing.schemas import AgentSeed, QueueSeed
from app.tickets import service as tickets
from app.tickets.schemas import Priority, Ticket, TicketDraft
from models.embedding.protocol import Vectors
from models.triage.artefact import TriageModel, main_directions, queue_shares
from models.triage.fitting import Examples, fit

numbers = count(1)


async def person(conn: Connection, role: Role = "customer", name: str | None = None) -> Identity:
    n = next(numbers)
    name = name or f"{role.title()} {n}"
    email = f"{role}{n}@example.com"
    return Identity(await auth.ensure_user(conn, email, name, role), email, name, role)


async def queue(conn: Connection, name: str) -> str:
    await routing.upsert_queue(conn, QueueSeed(name=name))
    return name


async def agent(
    conn: Connection,
    *queues: str,
    capacity: int = 5,
    skills: Mapping[str, int] | None = None,
    languages: Sequence[str] = ("en",),
) -> Identity:
    """An agent who is present and works in these queues, which are made where they are missing."""
    who = await person(conn, "agent")
    for name in queues:
        await queue(conn, name)
    seed = AgentSeed(
        email=who.email,
        name=who.name,
        languages=list(languages),
        skills=dict(skills or {}),
        queues=list(queues),
        capacity=capacity,
    )
    await routing.upsert_agent(conn, who.id, seed)
    return who


async def ticket(
    conn: Connection,
    customer: Identity | None = None,
    *,
    subject: str = "Cannot log in",
    body: str = "My password is refused.",
    priority: Priority | None = None,
) -> Ticket:
    """A new ticket and its job."""
    draft = TicketDraft(subject=subject, body=body, priority=priority)
    return await tickets.create(conn, customer or await person(conn), draft)


async def queued_ticket(conn: Connection, queue_name: str, assignee: UUID | None = None) -> Ticket:
    """A ticket that stands in a queue already, without a job."""
    made = await ticket(conn)
    await conn.execute("DELETE FROM jobs WHERE payload->>'ticket_id' = $1", str(made.id))
    await conn.execute(
        """
        UPDATE tickets SET queue_id = (SELECT id FROM queues WHERE name = $2), assignee_id = $3 WHERE id = $1
        """,
        made.id,
        queue_name,
        assignee,
    )
    return made


class WordVectors:
    """Implements `Embedder` without a network: each word has a place, texts with the same words are alike."""

    name = "word-vectors"
    dimensions = 256

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for i, text in enumerate(texts):
            for word in text.lower().split():
                vectors[i, zlib.crc32(word.encode()) % self.dimensions] += 1
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)

    def encode_fading(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.encode(texts)] * 2, axis=1)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return self.encode(texts)

    async def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        return self.encode(texts), []

    async def embed_fading(self, texts: Sequence[str]) -> Vectors:
        return self.encode_fading(texts)


WORDS_OF = {
    ("password_reset", "accounts"): "password login sign reset account refused locked",
    ("invoice", "billing"): "invoice charge card refund payment plan money",
    ("sync_error", "sync"): "sync notes missing conflict device cloud folder",
}


def triage_model(version: str = "test-1") -> TriageModel:
    return replace(_learnt(), version=version)


@cache
def _learnt() -> TriageModel:
    """From 24 made-up tickets with three intents and three queues."""
    rows = [
        (f"{words.split()[i % 7]} {words.split()[(i + 2) % 7]} help", intent, queue_name)
        for (intent, queue_name), words in WORDS_OF.items()
        for i in range(8)
    ]
    texts, labels, queues = ([row[i] for row in rows] for i in range(3))
    vectors = WordVectors().encode(texts)
    classifier = fit(Examples(texts, vectors, np.array(labels))).classifier
    names, shares = queue_shares(labels, queues, classifier.labels)
    return TriageModel("", WordVectors.name, classifier, names, shares, main_directions(vectors))
