"""Every operation of the OpenAPI document has a rule in `tests/access_rules.py`, every rule an operation."""

from typing import Any, cast

import pytest

from app.auth.scopes import scope_of
from app.main import create_app
from config import profile
from tests.access_rules import RULES


@pytest.fixture(scope="module")
def operations() -> set[str]:
    document = create_app(profile.load("test"), cast(Any, None)).openapi()
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


def test_every_operation_has_a_rule(operations: set[str]) -> None:
    missing = operations - set(RULES)
    assert not missing, f"say in tests/access_rules.py who may: {sorted(missing)}"


def test_no_rule_is_left_over(operations: set[str]) -> None:
    gone = set(RULES) - operations
    assert not gone, f"in tests/access_rules.py, but not in the API any more: {sorted(gone)}"


@pytest.mark.parametrize("operation", [name for name, rule in RULES.items() if rule.signed_in and rule.keys])
def test_a_key_can_be_given_a_scope_for_it(operation: str) -> None:
    assert scope_of(*operation.split()) is not None, f"app/auth/scopes.py knows no scope for {operation}"


@pytest.mark.parametrize("operation", [name for name, rule in RULES.items() if not rule.keys])
def test_no_scope_reaches_what_needs_a_person(operation: str) -> None:
    assert scope_of(*operation.split()) is None
