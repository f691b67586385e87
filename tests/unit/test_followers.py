"""Clocks run in every process that changes tickets."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("process", ["app.main", "deployments.worker"])
def test_a_process_that_changes_tickets_keeps_their_clocks(process: str) -> None:
    code = f"import {process}; from app.tickets import followers; print(len(followers._followers))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split()[-1] == "1"
