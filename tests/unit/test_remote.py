"""An answer from another replica: what the caller sees where that says nothing more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.errors import Unavailable
from deployments import remote
from models.agents.protocol import Event, Question


class Replica:
    """A handle whose replica gives these events and is silent then, or ends."""

    def __init__(self, *events: Event, silent: bool) -> None:
        self.events, self.silent = events, silent
        self.cancelled = False
        self.answer = self

    def options(self, *, stream: bool) -> "Replica":
        return self

    def remote(self, question: Question, *, sent: Any) -> "Replica":
        return self

    def cancel(self) -> None:
        self.cancelled = True

    async def __aiter__(self) -> AsyncIterator[Event]:
        for event in self.events:
            yield event
        if self.silent:
            await asyncio.sleep(60)


async def answer(replica: Replica) -> list[str]:
    assistant = remote.RemoteAssistant(cast(Any, replica))
    return [event.kind async for event in assistant.answer(Question("How?"))]


async def test_a_silent_replica_is_left_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "EVENT_DEADLINE_S", 0.05)
    replica = Replica(Event("meta", {}), silent=True)
    with pytest.raises(Unavailable):
        await answer(replica)
    assert replica.cancelled


async def test_an_answer_ends_with_its_last_event() -> None:
    replica = Replica(Event("meta", {}), Event("done", {}), silent=False)
    assert await answer(replica) == ["meta", "done"]
