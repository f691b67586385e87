"""What is said of errors: enough to find them, nothing that they quote."""

import json

import pytest
from pydantic import BaseModel, ValidationError

from app.errors import NotFound
from monitoring.failures import rendered, told

WORDS = "my cat is called Planted"


class Form(BaseModel):
    age: int


class CatNotFound(NotFound):
    """There is no such cat."""


def raised(value: str) -> BaseException:
    try:
        Form(age=value)  # type: ignore[arg-type]
    except ValidationError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(f"could not convert string to float: {WORDS!r}"), "could not convert string to float"),
        (ValueError(f'no such thing as "{WORDS}" here'), "no such thing as […] here"),
        (ValueError(f"cut off in the middle: '{WORDS}"), "cut off in the middle"),
        (ValueError(f"first line\nDETAIL: Failing row contains ({WORDS})"), "first line"),
        (KeyError(WORDS), "KeyError: […]"),
        (json.JSONDecodeError("Expecting value", WORDS, 3), "Expecting value: line 1 column 4"),
        (raised(WORDS), "1 validation error for Form"),
    ],
)
def test_words_are_not_quoted(error: BaseException, said: str) -> None:
    assert said in told(error)
    assert "Planted" not in told(error)


def test_what_helps_stays() -> None:
    duplicate = (
        'duplicate key value violates unique constraint "users_email_key"\nDETAIL: Key (email)=(a@b) ...'
    )
    assert told(RuntimeError(duplicate)).endswith("violates unique constraint users_email_key")
    assert told(CatNotFound()) == "CatNotFound: There is no such cat."
    assert told(ConnectionRefusedError(111, "Connection refused")).endswith("Connection refused")
    assert told(ValueError("I can't do that")) == "ValueError: I can't do that"


def test_a_traceback_has_every_error_and_no_words() -> None:
    try:
        try:
            int(WORDS)
        except ValueError as error:
            raise ExceptionGroup("several", [RuntimeError(f"of '{WORDS}'")]) from error
    except ExceptionGroup as error:
        text = rendered((type(error), error, error.__traceback__))
    for name in ("ValueError", "ExceptionGroup", "RuntimeError", "test_failures.py"):
        assert name in text
    assert "Planted" not in text.replace("WORDS", "")
