"""Who gets a ticket, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.routing.scoring import WEIGHTS, Candidate, Need, best, rank

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEED = Need(queue="billing", intent="cancel_refund", language="de")


def candidate(n: int, **more: Any) -> Candidate:
    fields: dict[str, Any] = {
        "languages": frozenset({"en"}),
        "skills": {},
        "capacity": 5,
        "present": True,
        "last_assigned_at": None,
        "open": 0,
    }
    return Candidate(id=UUID(int=n), name=f"agent {n}", **(fields | more))


def chosen(*candidates: Candidate, need: Need = NEED) -> int | None:
    found = best(rank(candidates, need))
    return found.candidate.id.int if found else None


def test_skill_wins() -> None:
    assert chosen(candidate(1), candidate(2, skills={"refunds": 5})) == 2


def test_knowing_the_intent_beats_knowing_the_queue() -> None:
    assert chosen(candidate(1, skills={"billing": 5}), candidate(2, skills={"refunds": 4})) == 2


def test_language_wins_among_equals() -> None:
    assert chosen(candidate(1), candidate(2, languages=frozenset({"de"}))) == 2


def test_the_less_loaded_wins_among_equals() -> None:
    assert chosen(candidate(1, open=3), candidate(2, open=1)) == 2


def test_the_longest_idle_wins_among_equals() -> None:
    busy, idle = NOW, NOW - timedelta(hours=1)
    assert chosen(candidate(1, last_assigned_at=busy), candidate(2, last_assigned_at=idle)) == 2
    assert chosen(candidate(1, last_assigned_at=busy), candidate(2)) == 2


def test_where_time_is_short_who_is_free_wins_where_it_is_long_who_knows() -> None:
    expert, idle = candidate(1, skills={"refunds": 4}, open=2), candidate(2)
    assert chosen(expert, idle, need=replace(NEED, left=timedelta(minutes=60))) == 2
    assert chosen(expert, idle, need=replace(NEED, left=timedelta(days=3))) == 1


@given(st.integers(0, 9), st.timedeltas(timedelta(days=-9), timedelta(days=9)))
def test_the_more_an_agent_has_the_less_time_there_is(n: int, left: timedelta) -> None:
    need = replace(NEED, left=left)
    few, more = (rank([candidate(1, open=opened, capacity=20)], need)[0] for opened in (n, n + 1))
    assert 0 <= more.parts["time"] <= few.parts["time"] <= 1


def test_nobody_absent_or_full_gets_anything() -> None:
    absent = candidate(1, present=False, skills={"refunds": 5})
    full = candidate(2, open=5, skills={"refunds": 5})
    assert chosen(absent, full) is None
    assert [each.obstacle for each in rank([absent, full], NEED)] == ["absent", "full: 5 of 5"]
    assert chosen(absent, full, candidate(3)) == 3


def test_no_capacity_at_all_is_full() -> None:
    assert chosen(candidate(1, capacity=0)) is None


people = st.builds(
    candidate,
    st.integers(1, 10**6),
    skills=st.dictionaries(st.sampled_from(["refunds", "billing", "sync"]), st.integers(1, 5)),
    languages=st.frozensets(st.sampled_from(["en", "de"])),
    capacity=st.integers(0, 5),
    open=st.integers(0, 6),
    present=st.booleans(),
)


@given(st.lists(people, max_size=8, unique_by=lambda each: each.id))
def test_scores_are_the_weighted_sum_of_their_parts_and_in_order(candidates: list[Candidate]) -> None:
    ranking = rank(candidates, NEED)
    assert {each.candidate.id for each in ranking} == {each.id for each in candidates}
    for each in ranking:
        assert all(0 <= part <= 1 for part in each.parts.values())
        assert abs(each.score - sum(WEIGHTS[name] * part for name, part in each.parts.items())) < 1e-5
    free = [each.score for each in ranking if each.obstacle is None]
    assert free == sorted(free, reverse=True)
    assert rank(reversed(candidates), NEED) == ranking
