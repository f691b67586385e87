"""Drift: usual days are quiet, a new taxonomy rings on its first day."""

from datetime import date, timedelta
from uuid import uuid4

import numpy as np
import pytest

from app.triage.schemas import Day, Seen
from app.triage.watch import judge
from models.triage.drift import NEW_LABELS, RARE, is_alarm, surprise

START = date(2024, 1, 1)
OLD, NEW = ("billing", "sync", "login"), ("payments", "refunds", "exports")
VERSION = uuid4()


def tickets(day: date, people: tuple[str, ...], rng: np.random.Generator, moved: float = 0.0) -> list[Seen]:
    """Thirty to fifty tickets of which triage gets three quarters right by the old labels."""
    found = []
    for _ in range(int(rng.integers(30, 50))):
        true = str(rng.choice(people))
        best = true if true in OLD and rng.random() < 0.75 else str(rng.choice(OLD))
        found.append(
            Seen(
                day=day,
                version_id=VERSION,
                best=best,
                probability=float(rng.uniform(0.4, 0.9)),
                projection=(rng.normal(size=6) + moved).tolist(),
                corrected=true,
            )
        )
    return found


def judged(days: list[list[Seen]]) -> list[Day]:
    """Day by day, as the job does it."""
    found: list[Day] = []
    for n, of_day in enumerate(days):
        before = [each for day in days[max(0, n - 30) : n + 1] for each in day]
        found += judge(of_day[0].day, before, [each for each in found if not each.alarm])
    return found


def month(n: int, rng: np.random.Generator) -> list[list[Seen]]:
    return [tickets(START + timedelta(days=i), OLD, rng) for i in range(n)]


def test_usual_days_are_quiet() -> None:
    found = judged(month(100, np.random.default_rng(10)))
    assert {each.statistic for each in found} == {
        "inputs",
        "confidence",
        "labels",
        "corrections",
        "disagreement",
        "new_labels",
    }
    assert [each for each in found if each.alarm] == []


@pytest.mark.parametrize(
    ("people", "moved", "rings"),
    [(NEW, 0.0, {"corrections", "disagreement", "new_labels"}), (OLD, 1.0, {"inputs"})],
    ids=["new taxonomy", "other texts"],
)
def test_it_rings_on_the_day_of_the_change(people: tuple[str, ...], moved: float, rings: set[str]) -> None:
    rng = np.random.default_rng(2)
    days = month(60, rng)
    changed = START + timedelta(days=60)
    days.append(tickets(changed, people, rng, moved))
    alarms = [each for each in judged(days) if each.alarm]
    assert {each.day for each in alarms} == {changed}
    assert {each.statistic for each in alarms} == rings


@pytest.mark.parametrize(("given", "rings"), [(1, False), (2, False), (4, True)])
def test_some_tickets_of_a_new_label_ring_and_one_that_is_rare_does_not(given: int, rings: bool) -> None:
    """Sixty days, seven times a label that nobody had used for a month: as a real desk has it."""
    usual = [1.0] * 7 + [0.0] * 53
    p = surprise(NEW_LABELS, float(given), usual)
    assert p is not None
    assert is_alarm(p) is rings
    assert surprise(NEW_LABELS, 0.0, usual) == 1.0


def test_a_new_version_is_no_drift() -> None:
    rng = np.random.default_rng(3)
    days = month(40, rng)
    newer = uuid4()
    last = [each.model_copy(update={"version_id": newer, "best": "all new"}) for each in days[-1]]
    found = judge(last[0].day, [each for day in days[:-1] for each in day] + last, [])
    assert {each.statistic for each in found} <= {"new_labels"}, "what people say is no matter of versions"


def test_without_a_history_nothing_is_surprising() -> None:
    assert surprise("labels", 100.0, [1.0] * 19) is None
    p = surprise("labels", 100.0, [1.0, 1.2] * 10)
    assert p is not None
    assert p < 1 / RARE
    low = surprise("labels", -100.0, [1.0, 1.2] * 10)
    assert low is not None
    assert low > 0.99, "too little divergence is no alarm"
