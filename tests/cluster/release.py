"""A release of this checkout's code as CI makes one: an archive that `serve deploy` names as working_dir."""

import zipfile
from pathlib import Path

from config.environment import CHECKOUT

PACKAGES = ("app", "config", "deployments", "models", "monitoring", "pipelines")
WITHOUT_LLM = """\
extends: local
llm: {engine: null, providers: [{name: self-hosted, kind: self_hosted, model: none, context_tokens: 2048}]}
"""
"""Profile `test` of a release: the real application, its assistant answering from passages alone."""


def make(folder: Path, version: str) -> str:
    """The URI of an archive whose application says that it is `version`."""
    archive = folder / f"release-{version}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for package in PACKAGES:
            for file in sorted((CHECKOUT / package).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    out.writestr(f"eservice/{file.relative_to(CHECKOUT)}", _content(file, version))
    return f"file://{archive}"


def _content(file: Path, version: str) -> bytes:
    match file.relative_to(CHECKOUT).as_posix():
        case "app/main.py":
            code = file.read_text()
            assert 'version="0.1.0"' in code
            return code.replace('version="0.1.0"', f'version="{version}"').encode()
        case "config/test.yaml":
            return WITHOUT_LLM.encode()
    return file.read_bytes()
