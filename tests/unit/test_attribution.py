"""Who acts is known before anything is written, and cannot be more than a few words to PostgreSQL."""

import re

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from app import attribution, main, state
from app.attribution import Attribution
from app.auth.access import signed_in
from config import profile

STATEMENT = re.compile(r"SET LOCAL eservice\.by = '[A-Za-z0-9_.:@/+-]+( [A-Za-z0-9_.:@/+-]+){3}';")


@given(st.text(), st.text() | st.none(), st.text() | st.none(), st.text() | st.none())
def test_nothing_a_caller_says_gets_out_of_its_quotes(
    actor: str, address: str | None, cause: str | None, api_key: str | None
) -> None:
    statement = Attribution(actor, address, cause, api_key).statement
    assert STATEMENT.fullmatch(statement)
    assert len(statement) < 900


def test_an_inner_actor_ends_with_its_block() -> None:
    before = attribution.current()
    with attribution.acting(Attribution("user:1")):
        attribution.act(Attribution("user:2"))
        assert attribution.current().actor == "user:2"
    assert attribution.current() == before


def test_a_program_goes_by_its_module() -> None:
    found = attribution.program()
    assert found.actor.startswith(("command:", "system:"))


def calls(dependant: Dependant) -> list[object]:
    """What is called for an endpoint, in the order it is called."""
    return [each for part in dependant.dependencies for each in [*calls(part), part.call]]


def test_no_endpoint_opens_its_transaction_before_it_knows_who_asks() -> None:
    app = main.create_app(profile.load("test"), lambda: None)  # type: ignore[arg-type, return-value]
    late = []
    for route in app.routes:
        if isinstance(route, APIRoute):
            order = calls(route.dependant)
            if state.connection in order and signed_in in order:
                late += [route.path] * (order.index(state.connection) < order.index(signed_in))
    assert late == []
