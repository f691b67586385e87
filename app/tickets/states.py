"""The life of a ticket: every transition there is, in one table, and who may make it."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Status: TypeAlias = Literal["new", "open", "pending", "on_hold", "resolved", "closed"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED: frozenset[Status] = frozenset({"resolved", "closed"})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    "new": frozenset({"open", "pending", "on_hold", "resolved", "closed"}),
    "open": frozenset({"pending", "on_hold", "resolved", "closed"}),
    "pending": frozenset({"open", "on_hold", "resolved", "closed"}),
    "on_hold": frozenset({"open", "pending", "resolved", "closed"}),
    "resolved": frozenset({"open", "closed"}),
    "closed": frozenset({"open"}),
}

CUSTOMERS_CLOSE: frozenset[Status] = frozenset(STATUSES) - {"closed"}
CUSTOMERS_REOPEN: frozenset[Status] = frozenset({"resolved"})
"""A customer closes what no longer matters, and reopens what was not solved after all."""

REOPENED_BY_REPLY: frozenset[Status] = frozenset({"pending", "resolved"})
"""Where a customer's message means that it is our turn again."""


def legal(status: Status, *, staff: bool) -> list[Status]:
    """Where a ticket may go from `status`, in the order of a ticket's life."""
    return [to for to in STATUSES if to in TRANSITIONS[status] and (staff or _customer_may(status, to))]


def _customer_may(status: Status, to: Status) -> bool:
    return (to == "closed" and status in CUSTOMERS_CLOSE) or (to == "open" and status in CUSTOMERS_REOPEN)
