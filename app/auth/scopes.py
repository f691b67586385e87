"""What an API key may be used for: areas of the API, to read or to write.

What its owner may not do, it may not either.
"""

import re
from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal[
    "models",
    "tickets:read",
    "tickets:write",
    "knowledge:read",
    "knowledge:write",
    "chat:read",
    "chat:write",
    "routing:read",
    "routing:write",
    "sla:read",
    "sla:write",
    "events:read",
    "analytics:read",
    "admin:read",
    "admin:write",
]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

READING_POSTS = re.compile(r"/api/v1/(knowledge/search|routing/preview)")
ANY_KEY = ("GET", "/api/v1/users/me")
AREA = re.compile(r"/api/v1/([a-z-]+)(?:/.*)?")


def scope_of(method: str, path: str) -> str | None:
    """The scope a key needs for this request, `""` where any will do, `None` where no key is enough.

    Keys make no keys, sign nobody in and change no users: for those somebody has to be there.
    """
    if path.startswith("/v1/"):
        return "models"
    if (method, path) == ANY_KEY:
        return ""
    found = AREA.fullmatch(path)
    if found is None:
        return None
    reads = method in {"GET", "HEAD"} or READING_POSTS.fullmatch(path)
    scope = f"{found[1]}:{'read' if reads else 'write'}"
    return scope if scope in SCOPES else None
