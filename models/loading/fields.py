"""Turns the fields of a JSON object or a front matter into a document, under the names people give them."""

import re
from collections.abc import Mapping
from typing import Any

from models.loading.documents import Document
from models.loading.html import to_markdown

VISIBILITIES = ("public", "customers", "agents", "teams")
TEAM = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

NAMES: dict[str, tuple[str, ...]] = {
    "slug": ("slug", "id", "_id"),
    "title": ("title", "question"),
    "summary": ("summary", "description"),
    "url": ("url",),
    "products": ("products", "product"),
    "topics": ("topics", "topic", "tags"),
    "language": ("language", "locale", "lang"),
    "visibility": ("visibility",),
    "teams": ("teams", "team"),
}
BODIES = ("body", "markdown", "body_md", "html", "text", "answer", "content")
"""Richest first: an article that comes as HTML and as text keeps its headings."""


class BadField(ValueError):
    """A field is missing or is not what it has to be; the message names it."""


def document(
    fields: Mapping[str, Any], *, slug: str | None = None, title: str | None = None, body: str | None = None
) -> Document:
    """The document in `fields`; the arguments stand in for what it does not say itself."""
    name = _text(fields, "slug") or slug
    if not name:
        raise BadField("has no slug")
    visibility, teams = readers(fields)
    return Document(
        slug=name,
        title=_text(fields, "title") or title or name,
        body=_body(fields) if body is None else body,
        summary=_text(fields, "summary"),
        url=_text(fields, "url") or None,
        products=_list(fields, "products"),
        topics=_list(fields, "topics"),
        language=(_text(fields, "language") or "en").replace("_", "-").partition("-")[0].lower(),
        visibility=visibility,
        teams=teams,
    )


def readers(fields: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Visibility and teams; naming teams is enough to say that it is for them."""
    teams = _list(fields, "teams")
    visibility = _text(fields, "visibility") or ("teams" if teams else "public")
    if visibility not in VISIBILITIES:
        raise BadField(f"visibility must be one of {', '.join(VISIBILITIES)}, not {visibility!r}")
    if bool(teams) != (visibility == "teams"):
        raise BadField("teams must be named where visibility is teams, and only there")
    if bad := [team for team in teams if not TEAM.fullmatch(team)]:
        raise BadField(f"a team is named with small letters, digits and dashes, not {bad[0]!r}")
    return visibility, teams


def _body(fields: Mapping[str, Any]) -> str:
    for name in BODIES:
        if isinstance(value := fields.get(name), str) and value.strip():
            return to_markdown(value) if name == "html" else _clean(value)
    raise BadField(f"has no text: one of {', '.join(BODIES)} is needed")


def _first(fields: Mapping[str, Any], field: str) -> Any:
    return next((fields[name] for name in NAMES[field] if fields.get(name) is not None), None)


def _text(fields: Mapping[str, Any], field: str) -> str:
    value = _first(fields, field)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise BadField(f"{field} must be text")
    return " ".join(_clean(str(value)).split())


def _list(fields: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = _first(fields, field)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise BadField(f"{field} must be a list of texts")
    return tuple(dict.fromkeys(filter(None, (" ".join(_clean(each).split()) for each in values))))


def _clean(text: str) -> str:
    """Without what PostgreSQL cannot keep: NUL, and halves of surrogate pairs that JSON may smuggle in."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
