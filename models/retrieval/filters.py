"""Filters as Milvus expressions. Every value passes through `quoted`: none can end its string early."""

from collections.abc import Iterable

from models.retrieval.passages import Filters

NOTHING = 'array_contains_any(audiences, [""])'


def expression(filters: Filters) -> str:
    """What a search may return. A reader without audiences may see nothing."""
    if not filters.audiences:
        return NOTHING
    parts = [f"array_contains_any(audiences, {listed(filters.audiences)})"]
    if filters.languages:
        parts.append(f"language in {listed(filters.languages)}")
    if filters.products:
        parts.append(f"array_contains_any(products, {listed(filters.products)})")
    if filters.topics:
        parts.append(f"array_contains_any(topics, {listed(filters.topics)})")
    if filters.articles:
        parts.append(f"article_id in {listed(filters.articles)}")
    return " and ".join(parts)


def listed(values: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, sorted(values)))}]"


def quoted(value: str) -> str:
    """A string literal, with the escapes that Milvus and Milvus Lite share; other control characters go."""
    return '"' + "".join(c for c in value.translate(_ESCAPES) if c >= " ") + '"'


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
