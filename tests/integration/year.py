"""Lives of inquiries, made up at random, and what plays them through the real services.

A life is a list of steps that were decided beforehand: nothing of it depends on what the service answers, so
that `reckoning` can tell from the steps alone what has to come out.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from app import db
from app.auth.schemas import Identity
from app.chat import service as chat
from app.chat.schemas import FeedbackIn
from app.ledger import service as ledger
from app.ledger.schemas import Labels
from app.sla import service as sla
from app.state import State
from app.tickets import assignment, csat, desk, service
from app.tickets.schemas import Assignment, CsatDraft, Decision, MessageDraft, TicketDraft, TicketPatch
from models.agents.protocol import Event, Question
from tests import factories
from tests.integration.clock import Clock

QUEUES = ("billing", "accounts", "=cmd|' /C calc'!A0")
INTENTS = ("refund", "login", "sync")
LANGUAGES = ("en", "de", "fr")
OUTCOMES = ("answered", "answered", "answered", "abstained", "degraded", "interrupted")
AGENTS = 4
MINUTE = timedelta(minutes=1)
ANSWER_AFTER = timedelta(seconds=20)
TICK_AT = timedelta(hours=3, minutes=30)
"""When silence and promises are looked at, once a day; in earnest it is every few minutes."""


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    what: str
    value: Any = None
    agent: int | None = None
    """Who does it; null: the customer."""


Life = list[Step]


def lives(seed: int, count: int, start: datetime, days: int) -> list[Life]:
    """That many lives within these days, no two steps of any of them in the same minute."""
    rng = random.Random(seed)
    end = start + timedelta(days=days)
    made = [_life(rng, start + timedelta(days=rng.random() * (days - 1))) for _ in range(count)]
    steps = sorted(
        ((step, n) for n, life in enumerate(made) for step in life if step.at < end - timedelta(hours=1)),
        key=lambda pair: pair[0].at,
    )
    found: list[Life] = [[] for _ in range(count)]
    last = start
    for step, n in steps:
        minute = max(step.at.replace(second=0, microsecond=0), last + MINUTE)
        if minute - minute.replace(hour=0, minute=0) == TICK_AT:
            minute += MINUTE
        found[n].append(replace(step, at=minute))
        last = minute
    return [life for life in found if life]


def _life(rng: random.Random, at: datetime) -> Life:
    if rng.random() < 0.35:
        return [Step(at, "file"), *_ticket(rng, at)]
    return list(_conversation(rng, at, returns=2))


def _hours(rng: random.Random, least: float, most: float) -> timedelta:
    return timedelta(hours=rng.uniform(least, most))


def _labels(rng: random.Random) -> tuple[str | None, str | None, str]:
    return rng.choice((*QUEUES, None)), rng.choice((*INTENTS, None)), rng.choice(LANGUAGES)


def _conversation(rng: random.Random, at: datetime, returns: int) -> Iterator[Step]:
    for n in range(rng.randint(1, 3)):
        tokens = rng.randint(100, 900)
        yield Step(at, "ask", (rng.choice(OUTCOMES), tokens, tokens / 65536))
        if n == 0 and rng.random() < 0.8:
            yield Step(at + 2 * MINUTE, "classify", _labels(rng))
        at += _hours(rng, 0.1, rng.choice((0.5, 20)))
    ending = rng.random()
    if ending < 0.35:
        yield Step(at, "hand_over")
        if rng.random() < 0.2:
            yield Step(at + 3 * MINUTE, "verdict", True)
            yield Step(at + 5 * MINUTE, "ask", ("answered", 64, 1 / 1024))
        yield from _ticket(rng, at)
        return
    if ending < 0.7:
        yield Step(at, "verdict", rng.random() < 0.7)
        if rng.random() < 0.2:
            at += _hours(rng, 0.1, 100)
            yield Step(at, "verdict", rng.random() < 0.5)
    elif ending < 0.8:
        yield Step(at, "first_verdict", rng.random() < 0.7)
    if returns and rng.random() < 0.4:
        yield from _conversation(rng, at + _hours(rng, 0.05, rng.choice((0.6, 60, 900))), returns - 1)


def _ticket(rng: random.Random, at: datetime) -> Iterator[Step]:
    """Whatever the ticket's status allows, for a while; mostly it gets answered and resolved."""
    status = "new"
    if rng.random() < 0.9:
        yield Step(at := at + MINUTE, "triage", _labels(rng))
    for _ in range(rng.randint(1, 9)):
        at += _hours(rng, 0.05, rng.choice((1, 6, 50)))
        what, value, agent, status = _next(rng, status)
        yield Step(at, what, value, agent)


def _next(rng: random.Random, status: str) -> tuple[str, Any, int | None, str]:
    agent = rng.randrange(AGENTS)
    moves: Sequence[Callable[[], tuple[str, Any, int | None, str]]]
    if status == "closed":
        moves = (
            lambda: ("rate", rng.randint(1, 5), None, status),
            lambda: ("note", None, agent, status),
            lambda: ("move", "open", agent, "open"),
        )
    elif status == "resolved":
        moves = (
            lambda: ("rate", rng.randint(1, 5), None, status),
            lambda: ("rate", rng.randint(1, 5), None, status),
            lambda: ("move", "closed", rng.choice((agent, None)), "closed"),
            lambda: ("move", "open", rng.choice((agent, None)), "open"),
            lambda: ("message", None, None, "open"),
            lambda: ("note", None, agent, status),
        )
    else:
        to = rng.choice([each for each in ("open", "pending", "on_hold") if each != status])
        moves = (
            *(3 * (lambda: ("reply", None, agent, status),)),
            lambda: ("message", None, None, "open" if status == "pending" else status),
            lambda: ("note", None, agent, status),
            lambda: ("assign", agent, agent, status),
            lambda: ("patch", rng.choice((*QUEUES, *INTENTS)), agent, status),
            lambda: ("move", to, agent, to),
            *(3 * (lambda: ("move", "resolved", agent, "resolved"),)),
            lambda: ("move", "closed", rng.choice((agent, None)), "closed"),
        )
    return rng.choice(moves)()


class Assistant:
    """Implements `Assistant`: answers as the step says."""

    outcome, tokens, cost_usd = "answered", 0, 0.0

    async def answer(self, question: Question) -> AsyncIterator[Event]:
        yield Event("meta", {"sources": []})
        yield Event("delta", {"text": "So."})
        done = {"outcome": self.outcome, "attempts": [], "prompt_version": "test", "passages": []}
        usage = {"prompt_tokens": self.tokens - 10, "completion_tokens": 10}
        yield Event("done", done | {"latency_ms": {}, "usage": usage, "cost_usd": self.cost_usd})


class Free:
    """Models that cost nothing to reserve."""

    default = "none"

    def prices(self, model: str) -> tuple[float, float]:
        return 0.0, 0.0


@dataclass
class Played:
    """What a life has in the service so far."""

    customer: Identity
    conversation: UUID | None = None
    ticket: UUID | None = None
    answers: list[UUID] = field(default_factory=list)


class Player:
    def __init__(self, state: State, clock: Clock, agents: Sequence[Identity], lead: Identity) -> None:
        self.state, self.clock, self.agents, self.lead = state, clock, agents, lead
        self.assistant = Assistant()
        state.assistant = cast(Any, self.assistant)
        state.chat_models = cast(Any, Free())
        self.played: list[Played] = []

    async def play(self, lives: Sequence[Life], start: datetime, days: int) -> None:
        async with db.transaction(self.state.pool) as conn:
            self.played = [Played(await factories.person(conn)) for _ in lives]
        steps = [(step.at, step, n) for n, life in enumerate(lives) for step in life]
        ticks = [(start + timedelta(days=n) + TICK_AT, None, 0) for n in range(days)]
        for at, step, n in sorted([*steps, *ticks], key=lambda each: each[0]):
            await self.clock.set(at)
            if step is None:
                await self._tick()
            else:
                await self._do(step, self.played[n])

    async def _tick(self) -> None:
        more = True
        while more:
            async with db.transaction(self.state.pool) as conn:
                more = await chat.settle_silent(conn)
                more = await sla.sweep(conn) or more

    async def _do(self, step: Step, life: Played) -> None:
        if step.what == "ask":
            await self._ask(step, life)
            return
        who = life.customer if step.agent is None else self.agents[step.agent]
        async with db.transaction(self.state.pool) as conn:
            if life.ticket is None or step.what == "verdict":
                await self._talk(conn, step, life)
            else:
                await self._work(conn, step, life.ticket, who)

    async def _ask(self, step: Step, life: Played) -> None:
        if life.conversation is None:
            async with db.transaction(self.state.pool) as conn:
                life.conversation = (await chat.start(conn, life.customer, "")).id
        outcome, tokens, cost_usd = step.value
        a = self.assistant
        a.outcome, a.tokens, a.cost_usd = outcome, tokens, cost_usd
        asked = await chat.ask(self.state, life.customer, life.conversation, "How?")
        await self.clock.set(step.at + ANSWER_AFTER)
        async with aclosing(cast(Any, chat.answer(self.state, life.customer, asked))) as events:
            async for event in events:
                if outcome == "interrupted" and event.kind == "delta":
                    break
        life.answers.append(asked.answer_id)

    async def _talk(self, conn: db.Connection, step: Step, life: Played) -> None:
        who, conversation = life.customer, life.conversation
        if step.what == "file":
            draft = TicketDraft(subject="Help", body="It does not work.")
            life.ticket = (await service.create(conn, who, draft)).id
            return
        assert conversation
        match step.what:
            case "classify":
                await ledger.classified(conn, conversation, Labels(*step.value))
            case "verdict" | "first_verdict":
                answer = life.answers[-1 if step.what == "verdict" else 0]
                verdict = FeedbackIn(message_id=answer, helpful=step.value)
                await chat.judge(conn, who, conversation, verdict)
            case "hand_over":
                life.ticket = (await chat.hand_over(conn, who, conversation, None)).id

    async def _work(self, conn: db.Connection, step: Step, ticket: UUID, who: Identity) -> None:
        match step.what:
            case "triage":
                queue, intent, language = step.value
                decision = Decision(
                    queue=queue,
                    intent=intent,
                    language=language,
                    sentiment="neutral",
                    priority="normal",
                    record={},
                )
                await desk.record_triage(conn, ticket, decision)
            case "reply" | "note" | "message":
                draft = MessageDraft(body="Well.", internal=step.what == "note")
                await service.add_message(conn, who, ticket, draft)
            case "move":
                await service.transition(conn, who, ticket, step.value)
            case "rate":
                await csat.rate(conn, who, ticket, CsatDraft(score=step.value))
            case "assign":
                wish = Assignment(action="assign", assignee=self.agents[step.value].id)
                await assignment.assign(conn, self.lead, ticket, wish)
            case "patch":
                of_queue = step.value in QUEUES
                change = TicketPatch(queue=step.value) if of_queue else TicketPatch(intent=step.value)
                await service.patch(conn, who, ticket, change, versions=None)
