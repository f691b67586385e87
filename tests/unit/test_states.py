"""The table of transitions, and that nothing but the table decides."""

from hypothesis import given
from hypothesis import strategies as st

from app.tickets.states import STATUSES, TRANSITIONS, Status, legal

statuses = st.sampled_from(STATUSES)


def test_every_status_is_in_the_table_and_can_be_left() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert all(TRANSITIONS.values())


def test_nothing_becomes_new_again() -> None:
    assert not any("new" in targets for targets in TRANSITIONS.values())


def test_a_closed_ticket_can_only_be_reopened_and_only_by_staff() -> None:
    assert legal("closed", staff=True) == ["open"]
    assert legal("closed", staff=False) == []


def test_a_customer_reopens_what_was_resolved() -> None:
    assert legal("resolved", staff=False) == ["open", "closed"]
    assert legal("on_hold", staff=False) == ["closed"]


@given(statuses)
def test_customers_may_no_more_than_staff(status: Status) -> None:
    assert set(legal(status, staff=False)) <= set(legal(status, staff=True)) == TRANSITIONS[status]


@given(st.lists(statuses, max_size=20))
def test_any_walk_stays_in_the_table_and_can_always_reach_closed(wishes: list[Status]) -> None:
    status: Status = "new"
    for wish in wishes:
        if wish in legal(status, staff=True):
            assert wish != status
            status = wish
    assert status == "closed" or "closed" in legal(status, staff=True)
