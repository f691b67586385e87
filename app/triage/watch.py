"""Says of every day that has ended what is unlike the days before it; promotes a shadow that won."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from app.db import Connection
from app.jobs.schemas import Effect, Handler, Job
from app.triage import repository, service
from app.triage.schemas import Day, Seen
from models.triage.drift import Sample, is_alarm, new_labels, statistics, surprise

LOOK = "triage_drift"
"""The job that comes round every hour."""

REFERENCE = timedelta(days=30)
HISTORY = timedelta(days=90)
"""The usual days that a value is held against; days that rang are not among them."""

STATISTICS = 6
"""Each day has as many values at most."""

CATCH_UP = 7
"""Days that one run looks at: after a long stop the rest follows an hour later."""


def handlers() -> Mapping[str, Handler]:
    async def look(job: Job, effect: Effect) -> None:
        async with effect() as conn:
            await look_at_days(conn, await _today(conn))
            await service.promote_shadow(conn)

    return {LOOK: look}


async def look_at_days(conn: Connection, today: date) -> list[Day]:
    """Judge the days before `today` that were not judged yet; those that ended first come first."""
    last, first = await repository.last_day(conn), await repository.first_decision(conn)
    if first is None:
        return []
    start = max(first, last + timedelta(days=1)) if last else first
    judged: list[Day] = []
    for day in (start + timedelta(days=n) for n in range(min((today - start).days, CATCH_UP))):
        found = await _judge(conn, day)
        await repository.add_days(conn, found)
        judged += found
    return judged


async def _judge(conn: Connection, day: date) -> list[Day]:
    seen = await repository.seen(conn, day - REFERENCE, day + timedelta(days=1))
    history = await repository.days(conn, day - HISTORY, STATISTICS * HISTORY.days)
    usual = [each for each in history if not each.alarm]
    return judge(day, seen, usual)


def judge(day: date, seen: Sequence[Seen], usual: Sequence[Day]) -> list[Day]:
    """The statistics of `day`, which `seen` has with the days before it, against `usual` days."""
    of_day = [each for each in seen if each.day == day]
    before = [each for each in seen if each.day < day]
    if not of_day:
        return []
    found = []
    said = statistics(_sample(of_day), _sample(_same_version(before, of_day)))
    said |= new_labels(_given(of_day), _given(before))
    for name, (value, size) in said.items():
        p = surprise(name, value, [each.value for each in usual if each.statistic == name])
        found.append(Day(day=day, statistic=name, value=value, size=size, p=p, alarm=is_alarm(p)))
    return found


def _same_version(before: Sequence[Seen], of_day: Sequence[Seen]) -> list[Seen]:
    """Another version has other confidences, labels and directions: that is no drift."""
    return [each for each in before if each.version_id == of_day[-1].version_id]


def _given(seen: Sequence[Seen]) -> list[str]:
    return [each.corrected for each in seen if each.corrected is not None]


def _sample(seen: Sequence[Seen]) -> Sample:
    judged = [each for each in seen if each.corrected is not None]
    return Sample(
        projections=np.array([each.projection for each in seen if each.projection], dtype=np.float32),
        probabilities=np.array([each.probability for each in seen], dtype=np.float32),
        labels=[each.best for each in seen],
        people=[str(each.corrected) for each in judged],
        agreed=[each.best == each.corrected for each in judged],
    )


async def _today(conn: Connection) -> date:
    today: date = await conn.fetchval("SELECT current_date")
    return today
