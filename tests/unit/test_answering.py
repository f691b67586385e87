"""The assistant's answer, event by event, also where parts of it fail."""

from typing import Any

import pytest

from models.agents.answering import NO_MODEL, NOT_FOUND, Answerer, Settings
from models.agents.protocol import Event, Question, Turn
from models.prompts.tokens import EstimatedCounter
from models.retrieval.passages import Filters, Passage, Retrieval
from tests import factories
from tests.unit.scripted import Scripted, catalogue

PASSAGES = (
    Passage(
        "c1",
        "00000000-0000-0000-0000-0000000000a1",
        "conflicts",
        "Sync conflicts",
        "Merge",
        None,
        "Open the copy and choose Compare.",
        9,
    ),
    Passage(
        "c2",
        "00000000-0000-0000-0000-0000000000a2",
        "invoices",
        "Invoices",
        "",
        None,
        "Invoices are sent on the first of the month.",
        11,
    ),
)


class FixedRetriever:
    """Finds the same passages whatever is asked, and remembers what was."""

    def __init__(self, *, found: bool = True) -> None:
        self.found = found
        self.queries: list[str] = []

    async def retrieve(self, query: str, *, filters: Filters, top_k: int | None = None) -> Retrieval:
        self.queries.append(query)
        return Retrieval(PASSAGES if self.found else (), 0.8, self.found, latency_ms={"total": 1.0})


def answerer(*providers: Scripted, retriever: FixedRetriever | None = None) -> Answerer:
    return Answerer(
        retriever=retriever or FixedRetriever(),  # type: ignore[arg-type]
        embedder=factories.WordVectors(),
        chat_models=catalogue(*providers),
        counter=EstimatedCounter(),
        settings=Settings(prompt_tokens=700, answer_tokens=50),
    )


async def events(subject: Answerer, question: Question) -> list[Event]:
    return [event async for event in subject.answer(question)]


def text(said: list[Event]) -> str:
    """What a reader who obeys `restart` ends up with."""
    so_far = ""
    for event in said:
        so_far = "" if event.kind == "restart" else so_far + event.data.get("text", "")
    return so_far


def done(said: list[Event]) -> dict[str, Any]:
    assert said[-1].kind == "done"
    return said[-1].data


async def test_meta_text_citation_done() -> None:
    words = ["Open ", "the copy ", "and choose Compare."]
    said = await events(answerer(Scripted("a", words=words)), Question("How do I merge?"))
    assert [e.kind for e in said] == ["meta", "delta", "delta", "delta", "citation", "done"]
    assert said[-2].data["chunk_id"] == "c1"
    assert done(said)["outcome"] == "answered"
    assert done(said)["usage"] == {"prompt_tokens": 10, "completion_tokens": 3}
    assert {"first_token", "total", "attribution", "retrieval_total"} <= set(done(said)["latency_ms"])


async def test_nothing_found_asks_no_model_and_offers_a_ticket() -> None:
    model = Scripted("a")
    said = await events(answerer(model, retriever=FixedRetriever(found=False)), Question("weather?"))
    assert text(said) == NOT_FOUND
    assert [e.kind for e in said] == ["meta", "delta", "handoff", "done"]
    assert done(said)["outcome"] == "abstained"
    assert not model.requests


async def test_every_model_down_gives_the_passages_and_an_offer() -> None:
    said = await events(answerer(Scripted("a", at=0), Scripted("b", at=0)), Question("How do I merge?"))
    assert text(said).startswith(NO_MODEL)
    assert all(passage.text in text(said) for passage in PASSAGES)
    assert [e.data["chunk_id"] for e in said if e.kind == "citation"] == ["c1", "c2"]
    assert done(said)["outcome"] == "degraded"
    assert [a["outcome"] for a in done(said)["attempts"]] == ["broken", "broken"]


async def test_a_model_that_says_nothing_counts_as_down() -> None:
    said = await events(answerer(Scripted("a", words=[])), Question("How do I merge?"))
    assert text(said).startswith(NO_MODEL)


@pytest.mark.parametrize("then", ["die", "stall"])
async def test_a_death_in_mid_answer_restarts_once(then: str) -> None:
    said = await events(answerer(Scripted("a", at=2, then=then), Scripted("b")), Question("How?"))
    assert [e.kind for e in said].count("restart") == 1
    assert text(said) == "one two three four"
    assert done(said)["outcome"] == "answered"


async def test_the_last_model_dying_in_mid_answer_restarts_with_the_passages() -> None:
    said = await events(answerer(Scripted("a", at=2)), Question("How?"))
    assert [e.kind for e in said].count("restart") == 1
    assert text(said).startswith(NO_MODEL)


async def test_a_reader_who_cannot_restart_gets_an_error_instead() -> None:
    said = await events(answerer(Scripted("a", at=2), Scripted("b")), Question("How?", may_restart=False))
    assert [e.kind for e in said] == ["meta", "delta", "delta", "error", "done"]
    assert done(said)["outcome"] == "interrupted"


async def test_a_short_follow_up_is_searched_with_the_question_before_it() -> None:
    retriever = FixedRetriever()
    history = (Turn("user", "How do I merge a conflict?"), Turn("assistant", "Open the copy."))
    await events(answerer(Scripted("a"), retriever=retriever), Question("And on Linux?", history))
    assert retriever.queries == ["How do I merge a conflict?\nAnd on Linux?"]
