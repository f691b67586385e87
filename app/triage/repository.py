"""Every SQL statement that touches triage's versions, decisions, examples and drift."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from app.db import Connection
from app.triage.schemas import Corrected, Correction, Day, Said, Seen, State, Trained, Version

COLUMNS = """
    id, state, artefact, data, data_fingerprint, figures, comparison, promoted_at, promoted_by, created_at,
    forgot_at
"""


async def add_version(conn: Connection, trained: Trained) -> Version:
    row = await conn.fetchrow(
        f"""
        INSERT INTO triage_versions (artefact, data, data_fingerprint, figures, comparison, label_counts)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}
        """,  # noqa: S608
        trained.artefact,
        trained.data,
        trained.data_fingerprint,
        trained.figures,
        trained.comparison.model_dump(mode="json") if trained.comparison else None,
        trained.label_counts,
    )
    if row is None:
        raise AssertionError("INSERT ... RETURNING has a row")
    return Version(**row)


async def version(conn: Connection, version_id: UUID) -> Version | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM triage_versions WHERE id = $1", version_id)  # noqa: S608
    return Version(**row) if row else None


async def versions(conn: Connection, before: UUID | None, limit: int) -> list[Version]:
    """Newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {COLUMNS} FROM triage_versions WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
        """,  # noqa: S608
        before,
        limit,
    )
    return [Version(**row) for row in rows]


async def in_state(conn: Connection, state: State) -> Version | None:
    """The version that is active, or in the shadow of it."""
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM triage_versions WHERE state = $1", state)  # noqa: S608
    return Version(**row) if row else None


async def lock_versions(conn: Connection) -> None:
    """One change of states at a time; readers are not held up."""
    await conn.execute("LOCK TABLE triage_versions IN SHARE ROW EXCLUSIVE MODE")


async def set_state(conn: Connection, version_id: UUID, state: State) -> None:
    await conn.execute(
        """
        UPDATE triage_versions
           SET state = $2, shadow_since = CASE WHEN $2 = 'shadow' THEN now() END WHERE id = $1
        """,
        version_id,
        state,
    )


async def set_promoted(conn: Connection, version_id: UUID, by: str) -> None:
    await conn.execute(
        "UPDATE triage_versions SET promoted_at = clock_timestamp(), promoted_by = $2 WHERE id = $1",
        version_id,
        by,
    )


async def lies_in_shadow(conn: Connection, version_id: UUID, least: timedelta) -> bool:
    """Whether it has read along for that long."""
    found = await conn.fetchval(
        """
        SELECT true FROM triage_versions
         WHERE id = $1 AND state = 'shadow' AND shadow_since <= now() - $2::interval
        """,
        version_id,
        least,
    )
    return bool(found)


async def promoted_before(conn: Connection, version: Version) -> Version | None:
    """The version that was active until this one was promoted."""
    row = await conn.fetchrow(
        f"""
        SELECT {COLUMNS} FROM triage_versions
         WHERE state = 'retired' AND promoted_at < $1 ORDER BY promoted_at DESC LIMIT 1
        """,  # noqa: S608
        version.promoted_at,
    )
    return Version(**row) if row else None


async def add_decision(conn: Connection, ticket_id: UUID, said: Said) -> None:
    """A version's last word on a ticket counts; a version that is gone meanwhile has none."""
    await conn.execute(
        """
        INSERT INTO triage_decisions (ticket_id, version_id, shadow, intent, queue, priority, best,
                                      probability, familiarity, projection)
        SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10 FROM triage_versions WHERE id = $2
        ON CONFLICT (ticket_id, version_id) DO UPDATE
           SET shadow = excluded.shadow, intent = excluded.intent, queue = excluded.queue,
               priority = excluded.priority, best = excluded.best, probability = excluded.probability,
               familiarity = excluded.familiarity, projection = excluded.projection
        """,
        ticket_id,
        said.version_id,
        said.shadow,
        said.intent,
        said.queue,
        said.priority,
        said.best,
        said.probability,
        said.familiarity,
        said.projection,
    )


async def decided(conn: Connection, version_id: UUID) -> int:
    count: int = await conn.fetchval(
        "SELECT count(*) FROM triage_decisions WHERE version_id = $1", version_id
    )
    return count


async def unread(conn: Connection, version_id: UUID, ticket_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the tickets that this version has not read."""
    rows = await conn.fetch(
        """
        SELECT id FROM unnest($2::uuid[]) AS asked (id)
         WHERE NOT EXISTS (SELECT 1 FROM triage_decisions d WHERE d.version_id = $1 AND d.ticket_id = id)
        """,
        version_id,
        list(ticket_ids),
    )
    return {row["id"] for row in rows}


async def both_said(conn: Connection, one: UUID, other: UUID) -> list[tuple[str, str, str]]:
    """What a person called a ticket, and the best labels of two versions that both read it before."""
    rows = await conn.fetch(
        """
        SELECT coalesce(e.intent, e.queue) AS label, a.best AS one, b.best AS other
          FROM triage_examples e
          JOIN triage_decisions a ON a.ticket_id = e.ticket_id AND a.version_id = $1
          JOIN triage_decisions b ON b.ticket_id = e.ticket_id AND b.version_id = $2
         WHERE e.updated_at > greatest(a.created_at, b.created_at)
           AND coalesce(e.intent, e.queue) IS NOT NULL
        """,
        one,
        other,
    )
    return [(row["label"], row["one"], row["other"]) for row in rows]


async def correct(conn: Connection, ticket_id: UUID, by: str, change: Correction) -> None:
    """What a person said last counts; what they did not speak of stays."""
    await conn.execute(
        """
        INSERT INTO triage_examples (ticket_id, intent, queue, priority, sentiment, corrected_by)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (ticket_id) DO UPDATE
           SET intent = coalesce(excluded.intent, triage_examples.intent),
               queue = coalesce(excluded.queue, triage_examples.queue),
               priority = coalesce(excluded.priority, triage_examples.priority),
               sentiment = coalesce(excluded.sentiment, triage_examples.sentiment),
               corrected_by = excluded.corrected_by, updated_at = now()
        """,
        ticket_id,
        change.intent,
        change.queue,
        change.priority,
        change.sentiment,
        by,
    )


async def hold_examples(conn: Connection, ticket_ids: Sequence[UUID]) -> int:
    """How many of them there are; those are not deleted before this transaction ends."""
    rows = await conn.fetch(
        "SELECT 1 FROM triage_examples WHERE ticket_id = ANY ($1) FOR KEY SHARE", list(ticket_ids)
    )
    return len(rows)


async def tickets_of(conn: Connection, person: UUID) -> list[UUID]:
    rows = await conn.fetch("SELECT id FROM tickets WHERE customer_id = $1", person)
    return [row["id"] for row in rows]


async def set_forgot(conn: Connection, artefacts: Sequence[str]) -> None:
    """Say that these are to be read anew."""
    await conn.execute(
        "UPDATE triage_versions SET forgot_at = clock_timestamp() WHERE artefact = ANY ($1)", list(artefacts)
    )


async def corrections(conn: Connection) -> list[Corrected]:
    """All of them, oldest first."""
    rows = await conn.fetch(
        """
        SELECT ticket_id, intent, queue, priority, sentiment, updated_at FROM triage_examples
         ORDER BY updated_at, ticket_id
        """
    )
    return [Corrected(**row) for row in rows]


async def seen(conn: Connection, since: date, until: date) -> list[Seen]:
    """What the active version of the time said on these days, and what people made of it since."""
    rows = await conn.fetch(
        """
        SELECT d.created_at::date AS day, d.version_id, d.best, d.probability, d.projection,
               coalesce(e.intent, e.queue) AS corrected
          FROM triage_decisions d LEFT JOIN triage_examples e ON e.ticket_id = d.ticket_id
         WHERE NOT d.shadow AND d.created_at >= $1::date AND d.created_at < $2::date
         ORDER BY d.created_at, d.ticket_id
        """,
        since,
        until,
    )
    return [Seen(**row) for row in rows]


async def last_day(conn: Connection) -> date | None:
    found: date | None = await conn.fetchval("SELECT max(day) FROM triage_drift")
    return found


async def first_decision(conn: Connection) -> date | None:
    found: date | None = await conn.fetchval(
        "SELECT min(created_at)::date FROM triage_decisions WHERE NOT shadow"
    )
    return found


async def add_days(conn: Connection, days: Sequence[Day]) -> None:
    await conn.executemany(
        """
        INSERT INTO triage_drift (day, statistic, value, size, p, alarm) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (day, statistic) DO NOTHING
        """,
        [(each.day, each.statistic, each.value, each.size, each.p, each.alarm) for each in days],
    )


async def days(conn: Connection, since: date | None, limit: int) -> list[Day]:
    """Newest first; only days from `since` on, where it is given."""
    rows = await conn.fetch(
        """
        SELECT day, statistic, value, size, p, alarm FROM triage_drift
         WHERE $1::date IS NULL OR day >= $1 ORDER BY day DESC, statistic LIMIT $2
        """,
        since,
        limit,
    )
    return [Day(**row) for row in rows]


async def newest_alarms(conn: Connection, days: int) -> dict[str, bool]:
    """Of each statistic, whether the newest day of the last `days` that it was judged for rang."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT ON (statistic) statistic, alarm FROM triage_drift
         WHERE day >= current_date - $1::integer ORDER BY statistic, day DESC
        """,
        days,
    )
    return {row["statistic"]: row["alarm"] for row in rows}
