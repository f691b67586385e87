"""The life of a version: candidate, shadow, active, retired; and what people's corrections become."""

from pathlib import Path

import pytest

from app import db
from app.auth.schemas import Identity
from app.db import Connection
from app.routing import service as routing
from app.triage import service as versions
from app.triage.comparison import mcnemar
from app.triage.schemas import Comparison, Trained, Version
from models.artefacts import ArtefactMissing, Artefacts
from models.triage.protocol import Label, Triage
from tests import factories
from tests.integration.conftest import Browser

PATH = "/api/v1/admin/triage"


async def version(conn: Connection, comparison: Comparison | None = None) -> Version:
    trained = Trained(
        artefact="triage/x", data=None, data_fingerprint="f" * 64, figures={}, comparison=comparison
    )
    return await versions.register(conn, trained)


async def promote(conn: Connection, made: Version) -> Version:
    async with conn.transaction():
        return await versions.promote(conn, None, made.id)


def won(against: Version, wins: int = 12, losses: int = 1) -> Comparison:
    p = mcnemar(wins, losses)
    return Comparison(
        against=against.id, size=50, accuracy=0.8, accuracy_against=0.6, wins=wins, losses=losses, p=p
    )


def said(version: Version, intent: str, shadow: Triage | None = None) -> Triage:
    label = Label(intent, 0.8)
    return Triage(
        intent=label,
        queue=Label("billing", 0.8),
        priority="normal",
        language=Label("en", 1.0),
        sentiment="neutral",
        reasons=(),
        version=str(version.id),
        candidates=(label,),
        familiarity=0.9,
        projection=(0.1, 0.2),
        shadow=shadow,
    )


async def test_a_version_is_promoted_where_it_won_and_rolled_back_in_one_call(
    conn: Connection, browser: Browser
) -> None:
    first, second = await version(conn), await version(conn)
    admin = browser(await factories.person(conn, "admin"))
    assert (await admin.post(f"{PATH}/versions/{first.id}/promote", json={})).json()["state"] == "active"
    refused = await admin.post(f"{PATH}/versions/{second.id}/promote", json={})
    assert (refused.status_code, refused.json()["active"]) == (409, str(first.id))
    third = await version(conn, won(first))
    assert (await admin.post(f"{PATH}/versions/{third.id}/shadow")).json()["state"] == "shadow"
    assert (await admin.post(f"{PATH}/versions/{third.id}/promote", json={})).json()["state"] == "active"
    assert (await admin.get(f"{PATH}/versions/{first.id}")).json()["state"] == "retired"
    forced = await admin.post(f"{PATH}/versions/{second.id}/promote", json={"without_proof": "I say so"})
    assert forced.json()["promoted_by"].endswith(": I say so")
    assert (await admin.post(f"{PATH}/rollback")).json()["id"] == str(third.id)
    assert (await admin.post(f"{PATH}/rollback")).json()["id"] == str(first.id)
    assert (await admin.post(f"{PATH}/rollback")).status_code == 409
    listed = (await admin.get(f"{PATH}/versions", params={"limit": 2})).json()
    assert [each["id"] for each in listed["items"]] == [str(third.id), str(second.id)]
    rest = (await admin.get(f"{PATH}/versions", params={"cursor": listed["next_cursor"]})).json()
    assert [each["id"] for each in rest["items"]] == [str(first.id)]


async def test_a_close_win_is_no_proof(conn: Connection) -> None:
    active = await version(conn)
    await promote(conn, active)
    close = await version(conn, won(active, wins=6, losses=3))
    with pytest.raises(versions.NotProven):
        await promote(conn, close)
    other = await version(conn, won(close))
    with pytest.raises(versions.NotProven):  # it won, but not against the version that decides now
        await promote(conn, other)


@pytest.mark.parametrize(("role", "look", "decide"), [("supervisor", 200, 403), ("agent", 403, 403)])
async def test_supervisors_look_and_admins_decide(
    conn: Connection, browser: Browser, role: str, look: int, decide: int
) -> None:
    made = await version(conn)
    client = browser(await factories.person(conn, role))  # type: ignore[arg-type]
    assert (await client.get(f"{PATH}/versions")).status_code == look
    assert (await client.get(f"{PATH}/drift")).status_code == look
    assert (await client.get(f"{PATH}/versions/{made.id}/standing")).status_code == look
    for path in (f"versions/{made.id}/promote", f"versions/{made.id}/shadow", "rollback"):
        answer = await client.post(f"{PATH}/{path}", json={} if path.endswith("promote") else None)
        assert answer.status_code == decide


async def test_what_is_not_there(conn: Connection, browser: Browser) -> None:
    admin = browser(await factories.person(conn, "admin"))
    missing = f"{PATH}/versions/00000000-0000-0000-0000-000000000000"
    assert (await admin.get(missing)).status_code == 404
    assert (await admin.post(f"{missing}/promote", json={})).status_code == 404
    assert (await admin.post(f"{missing}/shadow")).status_code == 404


async def test_a_shadow_wins_on_what_people_correct(
    pool: db.Pool, conn: Connection, browser: Browser
) -> None:
    """Both versions read twelve tickets; people then say that the shadow was right about eleven."""
    active, shadow = await version(conn), await version(conn)
    await promote(conn, active)
    async with conn.transaction():
        await versions.cast_shadow(conn, None, shadow.id)
    agent = await factories.agent(conn, "billing", capacity=50)
    client, admin = browser(agent), browser(await factories.person(conn, "admin"))
    for n in range(12):
        ticket = await factories.ticket(conn)
        async with db.transaction(pool) as own:
            verdict = said(active, "invoice", shadow=said(shadow, "refund"))
            await routing.settle(own, ticket.id, verdict)
        intent = "invoice" if n == 0 else "refund"
        changed = await client.patch(
            f"/api/v1/tickets/{ticket.id}", json={"intent": intent}, headers={"If-Match": "*"}
        )
        assert changed.json()["intent"] == intent
        assert changed.json()["triage"]["version"] == str(active.id)
    standing = (await admin.get(f"{PATH}/versions/{shadow.id}/standing")).json()
    assert (standing["decided"], standing["comparison"]["wins"], standing["comparison"]["losses"]) == (
        12,
        11,
        1,
    )
    assert await versions.promote_shadow(conn) is None, "it has not read along for an hour"
    await conn.execute(
        "UPDATE triage_versions SET shadow_since = now() - interval '2 hours' WHERE state = 'shadow'"
    )
    async with conn.transaction():
        promoted = await versions.promote_shadow(conn)
    assert promoted
    assert (promoted.id, promoted.promoted_by) == (shadow.id, "system:train")


async def test_a_correction_is_an_example_in_the_same_transaction(
    pool: db.Pool, conn: Connection, browser: Browser
) -> None:
    agent = await factories.agent(conn, "billing", "sync")
    ticket = await factories.ticket(conn)
    client = browser(agent)

    async def patch(**change: str) -> int:
        path = f"/api/v1/tickets/{ticket.id}"
        return (await client.patch(path, json=change, headers={"If-Match": "*"})).status_code

    assert await patch(subject="Nothing triage says") == 200
    assert await versions.corrections(conn) == []
    assert await patch(queue="nowhere") == 422
    assert await versions.corrections(conn) == []
    assert await patch(queue="sync") == 200
    assert await patch(intent="sync_error", priority="high") == 200
    (example,) = await versions.corrections(conn)
    assert (example.intent, example.queue, example.priority) == ("sync_error", "sync", "high")
    assert example.label == "sync_error"
    await conn.execute("DELETE FROM tickets WHERE id = $1", ticket.id)
    assert await versions.corrections(conn) == [], "an example goes with its ticket"


async def test_what_a_person_said_stays_when_triage_comes_later(
    pool: db.Pool, conn: Connection, browser: Browser
) -> None:
    made = await version(conn)
    agent: Identity = await factories.agent(conn, "billing")
    ticket = await factories.ticket(conn)
    path = f"/api/v1/tickets/{ticket.id}"
    await browser(agent).patch(path, json={"intent": "refund"}, headers={"If-Match": "*"})
    async with db.transaction(pool) as own:
        await routing.settle(own, ticket.id, said(made, "invoice"))
    assert (await browser(agent).get(path)).json()["intent"] == "refund"


@pytest.mark.parametrize("url", ["{folder}/artefacts", "memory://artefacts-{name}"])
def test_artefacts_lie_under_any_url(tmp_path: Path, url: str) -> None:
    artefacts = Artefacts(url.format(folder=tmp_path, name=tmp_path.name))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"123")
    artefacts.put("triage/a", tmp_path / "model")
    assert artefacts.exists("triage/a")
    assert (artefacts.fetch("triage/a") / "weights").read_bytes() == b"123"
    with pytest.raises(FileExistsError):
        artefacts.put("triage/a", tmp_path / "model")
    with pytest.raises(ArtefactMissing, match="triage/b"):
        artefacts.fetch("triage/b")
