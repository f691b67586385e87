"""The simulation that routing is judged by: repeatable, and fair to every strategy."""

import argparse

import pytest

from benchmarks.desk import arrivals, staff
from benchmarks.routing_simulation import STRATEGIES, compare, simulate

WEEK = argparse.Namespace(weeks=1, per_day=60, staff=8, skill_effect=1.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_is_the_same_desk_every_time(strategy: str) -> None:
    assert simulate(7, strategy, WEEK) == simulate(7, strategy, WEEK)
    assert arrivals(7, 1, 60) == arrivals(7, 1, 60) != arrivals(8, 1, 60)
    assert staff(7, 8) == staff(7, 8) != staff(8, 8)


def test_every_strategy_gets_the_same_tickets_and_solves_most() -> None:
    runs = [simulate(7, strategy, WEEK) for strategy in STRATEGIES]
    assert len({run["tickets"] for run in runs}) == 1
    assert all(run["unsolved"] < run["tickets"] / 2 for run in runs), "the last weekend is still there"


def test_differences_are_paired() -> None:
    def run(breached: float) -> dict[str, float]:
        return {"tickets": 100, "breached": breached}

    found = compare({"ours": [run(10), run(20), run(30)], "other": [run(12), run(22), run(32)]})
    assert found == {"other": {"mean": 2, "low": 2, "high": 2, "seeds_won": 3}}
