"""The library on the running application: upload, find, a new index version, and back."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.unit.pages import pdf

PATH = "/api/v1/knowledge"


def wait(state: Callable[[], dict[str, Any]], wanted: set[str], within_s: float) -> dict[str, Any]:
    end = time.monotonic() + within_s
    while (found := state())["status"] not in wanted:
        assert time.monotonic() < end, found
        time.sleep(0.3)
    return found


def search(client: httpx.Client, query: str) -> dict[str, Any]:
    answer = client.post(f"{PATH}/search", json={"query": query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert set(found["degraded"]) <= {"cases"}  # the Worker fills the cases of its profile's embedder only
    return found


def test_an_upload_is_found_by_those_it_is_for(admin: httpx.Client, customer: httpx.Client) -> None:
    taken = admin.post(
        f"{PATH}/documents", files={"file": ("guide.pdf", pdf())}, data={"visibility": "agents"}
    )
    assert taken.status_code == 202, taken.text
    place = taken.headers["Location"]
    state = wait(lambda: admin.get(place).json(), {"ready", "failed"}, 60)
    assert state["status"] == "ready", state
    assert "FL-204" in str(search(admin, "What does FL-204 mean on the sync guide?"))
    assert "storage is full" not in str(search(customer, "What does FL-204 mean on the sync guide?"))
    assert admin.delete(place).status_code == 204
    assert "guide" not in {r["title"] for r in search(admin, "What does FL-204 mean?")["results"]}


def test_another_embedder_is_built_judged_promoted_and_rolled_back(
    admin: httpx.Client, customer: httpx.Client
) -> None:
    first = search(customer, "How do I resolve a sync conflict?")["index"]
    begun = admin.post(f"{PATH}/indexes", json={"precision": "fp32"})
    assert begun.status_code == 202, begun.text
    name = begun.json()["name"]

    def state() -> dict[str, Any]:
        items = admin.get(f"{PATH}/indexes").json()["items"]
        return next(each for each in items if each["name"] == name)

    built = wait(state, {"ready", "refused"}, 400)
    assert built["status"] == "ready", built
    assert admin.post(f"{PATH}/indexes/{name}/promote").status_code == 200
    assert answered_by(customer, name)["results"][0]["title"].lower().find("conflict") >= 0
    assert admin.post(f"{PATH}/indexes/rollback").status_code == 200
    assert answered_by(customer, first)["results"]


def answered_by(client: httpx.Client, name: str) -> dict[str, Any]:
    """What the search answers once that index does; no answer may fail meanwhile."""
    end = time.monotonic() + 15  # loading fp32 on a busy machine
    while (found := search(client, "How do I resolve a sync conflict?"))["index"] != name:
        assert time.monotonic() < end, found["index"]
    return found
