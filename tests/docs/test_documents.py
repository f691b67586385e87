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
    done = run(block, os.environ | {"ESERVICE_HOME": str(tmp_path / "home")})
    assert done.returncode == 0, done.stdout + done.stderr


def run(block: Block, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As somebody would who pastes it into a shell in the checkout; `environ` is all that the shell has."""
    shell = ["bash", "-euo", "pipefail", "-c"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-c"] if block.language == "python" else shell
    return subprocess.run(
        [*command, block.code],
        cwd=CHECKOUT,
        env={**environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)},
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


WITHOUT = {
    "GET /api/v1/auth/oidc": "a browser goes there",
    "GET /api/v1/auth/oidc/callback": "a browser comes back there",
    "PUT /api/v1/users/me/password": "would sign the demo users out",
    "POST /api/v1/users/me/erasure": "would erase the demo customer",
    "POST /api/v1/knowledge/rerankers/{version_id}/promote": "wants one that was trained",
    "DELETE /api/v1/knowledge/rerankers/active": "the same",
    "GET /api/v1/events": "streams for minutes",
    "GET /api/v1/knowledge/cases/{case_id}": "a case is there a while after its ticket was resolved",
    "DELETE /api/v1/knowledge/cases/{case_id}": "the same",
    "DELETE /api/v1/knowledge/cases/{case_id}/links/{article_id}": "the same",
    "POST /api/v1/knowledge/documents": "takes a form with a file: docs/KNOWLEDGE.md has the command",
    "GET /api/v1/knowledge/documents/{document_id}": "wants an upload",
    "DELETE /api/v1/knowledge/documents/{document_id}": "wants an upload",
    "POST /api/v1/knowledge/indexes": "embeds everything anew",
    "PUT /api/v1/knowledge/indexes/questions": "would replace the gate's own questions",
    "POST /api/v1/knowledge/indexes/rollback": "wants two versions of the index",
    "POST /api/v1/knowledge/indexes/{name}/promote": "wants two versions of the index",
    "DELETE /api/v1/knowledge/indexes/{name}": "wants two versions of the index",
    "POST /api/v1/admin/jobs/{job_id}/replay": "wants a job that failed eight times",
    "POST /api/v1/admin/answers/{answer_id}/replay": "asks the model anew, which takes seconds",
    "GET /api/v1/admin/triage/versions/{version_id}": "a version's name differs from desk to desk",
    "GET /api/v1/admin/triage/versions/{version_id}/standing": "the same",
    "POST /api/v1/admin/triage/versions/{version_id}/shadow": "wants a second version",
    "POST /api/v1/admin/triage/versions/{version_id}/promote": "wants a second version",
    "POST /api/v1/admin/triage/rollback": "wants a second version",
    "POST /api/v1/admin/triage/retrain": "trains for minutes",
    "PUT /api/v1/admin/triage/labels/{name}": "would change what triage asks about from then on",
    "DELETE /api/v1/admin/triage/labels/{name}": "the same",
    "PUT /api/v1/admin/providers/{name}": "asks a hosted model, which needs its key",
    "PATCH /api/v1/admin/providers/{name}": "the same",
    "DELETE /api/v1/admin/providers/{name}": "the same",
}
"""Operations that no example can run at a fresh desk, and why."""


def test_every_operation_has_an_example_or_a_reason_not_to() -> None:
    known = {name for name, _ in api.operations(api.openapi())}
    shown = {each.operation for each in load()}
    missing = sorted(known - shown - set(WITHOUT))
    assert not missing, "add an example to docs/api/examples.yaml, or a reason here"
    settled = sorted(set(WITHOUT) & shown | set(WITHOUT) - known)
    assert not settled, "there is an example, or the operation is gone: the reason goes, too"


def test_every_example_is_of_an_operation_that_exists() -> None:
    known = {name for name, _ in api.operations(api.openapi())}
    unknown = [each.operation for each in load() if each.operation not in known]
    assert not unknown, "docs/api/examples.yaml"
