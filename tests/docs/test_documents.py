"""The documents say what is so: commands run, links lead somewhere, what is generated is current."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import CHECKOUT
from deployments.documents import api, decisions, schema
from deployments.documents.examples import load
from tests.docs.blocks import MARK, Block, documents, everywhere

HOW = "say on the line before it who runs it; tests/docs/blocks.py has the four ways"
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


def test_every_command_block_says_who_runs_it() -> None:
    unmarked = [each.name for each in everywhere() if not MARK.fullmatch(each.mark or "")]
    assert not unmarked, HOW
    missing = [each.name for each in everywhere() if each.test and not each.test.is_file()]
    assert not missing, "the test that is said to run it does not exist"


@pytest.mark.parametrize("block", everywhere("run"), ids=lambda block: block.name)
def test_light_blocks_run(block: Block, tmp_path: Path) -> None:
    done = run(block, {"ESERVICE_HOME": str(tmp_path / "home")})
    assert done.returncode == 0, done.stdout + done.stderr


def run(block: Block, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As somebody would who pastes it into a shell in the checkout."""
    shell = ["bash", "-euo", "pipefail", "-c"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-c"] if block.language == "python" else shell
    return subprocess.run(
        [*command, block.code],
        cwd=CHECKOUT,
        env={**os.environ, **environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("file", documents(), ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_links_lead_somewhere(file: Path) -> None:
    lost = [link for link in LINK.findall(file.read_text()) if not (file.parent / link).exists()]
    assert not lost


def test_the_api_document_is_current() -> None:
    assert api.text() == (CHECKOUT / "docs" / "API_DOCUMENTATION.md").read_text(), "run `make docs`"


def test_the_index_of_decisions_is_current() -> None:
    assert decisions.text() == (decisions.FOLDER / "README.md").read_text(), "run `make docs`"


async def test_the_schema_document_is_current(database_url: str) -> None:
    wanted = (CHECKOUT / "docs" / "DATABASE_SCHEMA.md").read_text()
    assert await schema.text(database_url) == wanted, "run `make docs`"


def test_every_example_is_of_an_operation_that_exists() -> None:
    known = {name for name, _ in api.operations(api.openapi())}
    unknown = [each.operation for each in load() if each.operation not in known]
    assert not unknown, "docs/api/examples.yaml"
