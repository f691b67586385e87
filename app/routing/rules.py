"""Rules that have the last word over triage: the first that fits decides. No database, no clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from app.tickets.schemas import STORABLE, Decision, Priority, QueueName, Request, Tag

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), STORABLE]
Texts = Annotated[tuple[Text, ...], Field(max_length=50)]


class Conditions(Request):
    """All that are given must hold; of several values in one of them, any."""

    intent: Texts = ()
    queue: Texts = Field((), description="what triage says")
    language: Texts = ()
    sentiment: Texts = ()
    priority: Annotated[tuple[Priority, ...], Field(max_length=4)] = ()
    tags: Texts = Field((), description="any of these stands at the ticket")
    text: Texts = Field((), description="words of subject or body, without regard to case")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("needs at least one condition")
        return self


class Actions(Request):
    queue: QueueName | None = None
    priority: Priority | None = Field(None, description="a higher one that the customer asked for stays")
    add_tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("needs at least one action")
        return self


class RuleDraft(Request):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), STORABLE]
    place: int = Field(100, ge=0, le=1_000_000, description="lower ones are asked first")
    enabled: bool = True
    conditions: Conditions
    actions: Actions


class Rule(RuleDraft):
    id: UUID
    created_at: datetime
    updated_at: datetime


class Rules(BaseModel):
    items: list[Rule]
    next_cursor: str | None = None


def first_fitting(
    rules: Iterable[Rule], decision: Decision, *, tags: Iterable[str], subject: str, body: str
) -> Rule | None:
    """Of enabled rules in their order."""
    text, standing = f"{subject}\n{body}".casefold(), set(tags)
    return next((rule for rule in rules if _fits(rule.conditions, decision, standing, text)), None)


def _fits(conditions: Conditions, decision: Decision, tags: set[str], text: str) -> bool:
    of_triage = (
        (conditions.intent, decision.intent),
        (conditions.queue, decision.queue),
        (conditions.language, decision.language),
        (conditions.sentiment, decision.sentiment),
        (conditions.priority, decision.priority),
    )
    return (
        all(not wanted or found in wanted for wanted, found in of_triage)
        and (not conditions.tags or not tags.isdisjoint(conditions.tags))
        and (not conditions.text or any(words.casefold() in text for words in conditions.text))
    )


def applied(rule: Rule | None, decision: Decision) -> Decision:
    """What is decided after the rule; its name goes into the record."""
    if rule is None:
        return decision
    return decision.model_copy(
        update={
            "queue": rule.actions.queue or decision.queue,
            "priority": rule.actions.priority or decision.priority,
            "add_tags": list(rule.actions.add_tags),
            "record": {**decision.record, "rule": rule.name},
        }
    )
