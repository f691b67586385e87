"""Examples of the API: requests in order, each of which may use what earlier ones answered.

`docs/api/examples.yaml` holds them. In a path, body, form or header `{name}` stands for what was kept.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from config.environment import CHECKOUT

FILE = CHECKOUT / "docs" / "api" / "examples.yaml"
PLACE = re.compile(r"\{([a-z_]+)\}")


class Example(BaseModel):
    """One request; `path` has the values that `operation` has parameters for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str = Field(description="`METHOD /path`, as the OpenAPI document has it")
    title: str = ""
    path: str | None = Field(None, description="where it is not the operation's own")
    role: str | None = None
    body: Any = None
    form: dict[str, str] = {}
    headers: dict[str, str] = {}
    status: int = 200
    keep: dict[str, str] = Field(
        {}, description="names for parts of the answer: `id`, `items.0.id`, `header etag`"
    )

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    @property
    def url(self) -> str:
        return self.path or self.operation.partition(" ")[2]

    @property
    def shell_path(self) -> str:
        return _shell(self.url)

    @property
    def shell_body(self) -> str:
        return _shell(json.dumps(self.body, ensure_ascii=False))

    @property
    def shell_form(self) -> dict[str, str]:
        return {name: _shell(value) for name, value in self.form.items()}

    @property
    def shell_headers(self) -> dict[str, str]:
        return {name: _shell(value).replace('"', '\\"') for name, value in self.headers.items()}


def load() -> list[Example]:
    return [Example.model_validate(each) for each in yaml.safe_load(FILE.read_text())]


def filled(value: Any, kept: Mapping[str, str]) -> Any:
    """`value` with what was kept in its places."""
    if isinstance(value, str):
        return PLACE.sub(lambda place: kept[place[1]], value)
    if isinstance(value, dict):
        return {key: filled(each, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, kept) for each in value]
    return value


def _shell(text: str) -> str:
    return PLACE.sub(lambda place: f"${place[1].upper()}", text)
