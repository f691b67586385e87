"""Clocks run, solved cases are settled and the ledger is kept in every process that changes tickets."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("process", ["app.main", "deployments.worker"])
def test_a_process_that_changes_tickets_keeps_their_clocks(process: str) -> None:
    code = (
        f"import {process}; from app.tickets import followers;"
        "print(*sorted(each.__module__ for each in followers._followers))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert {"app.cases.service", "app.ledger.service", "app.sla.service"} <= set(done.stdout.split())
