"""What the OpenAPI document says, held against the application: schemathesis, with a token of each role.

Every operation gets requests made up from its schema, once with ids of nothing and once with ids of things
that are there. No answer may be a 5xx, nor be anything that the document does not describe.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import CHECKS

from app import db
from config.embedded.stores import Addresses
from models.triage.learnt import LearntTriager
from tests.access_rules import RULES
from tests.integration import whole
from tests.integration.whole import ROLES, World

NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@dataclass
class Served:
    world: World
    url: str
    operations: dict[str, Any]


@pytest.fixture(scope="module")
async def desk_served(stores: Addresses, template_url: str, triager: LearntTriager) -> AsyncIterator[Served]:
    url = await whole.migrated(stores, template_url)
    assert stores.redis_url
    async with whole.application(url, stores.redis_url, triager) as app, whole.served(app) as address:
        world = await whole.populate(app)
        schema = schemathesis.openapi.from_dict(app.openapi())
        operations = {found.ok().label: found.ok() for found in schema.get_all_operations()}
        yield Served(world, address, operations)


@pytest.mark.parametrize("examples", [1, pytest.param(25, marks=pytest.mark.long)])
@pytest.mark.parametrize("operation", sorted(name for name, rule in RULES.items() if not rule.endless))
async def test_the_document_is_true(desk_served: Served, operation: str, examples: int) -> None:
    async with db.transaction(desk_served.world.app.state.eservice.pool) as conn:
        things = await whole.things(conn, await whole.factories.person(conn))
    await asyncio.to_thread(_try, desk_served, operation, things, examples)


def _try(served: Served, label: str, things: dict[str, str], examples: int) -> None:
    operation = served.operations[label]
    tokens = {role: served.world.token(served.world.people[role]) for role in ROLES}
    session = requests.Session()

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def one(case: Any) -> None:
        made_up = dict(case.path_parameters)
        there = {name: things.get(name, value) for name, value in made_up.items()}
        for path in [made_up, there] if there != made_up else [made_up]:
            case.path_parameters = path
            for token in tokens.values():
                headers = {"Authorization": f"Bearer {token}"}
                answer = case.call(served.url, session=session, headers=headers, timeout=20)
                case.validate_response(answer, checks=list(CHECKS.get_by_names(NAMES)))

    one()
