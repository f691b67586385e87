"""Which requests count against which limit: what a request costs us decides, not what it is about."""

import re

from config.limits import RequestClass

INFERENCE = re.compile(
    r"/v1/.+|/api/v1/chat/conversations/[^/]+/messages|/api/v1/knowledge/search"
    r"|/api/v1/routing/preview|/api/v1/tickets/[^/]+/suggestions"
)
SIGNING_IN = "/api/v1/auth/"


def class_of(method: str, path: str) -> RequestClass:
    """The class of a request; what runs a model is `inference`, other changes are `writing`."""
    if path.startswith(SIGNING_IN):
        return "signing_in"
    if method in {"GET", "HEAD", "OPTIONS"} and not path.endswith("/suggestions"):
        return "reading"
    return "inference" if INFERENCE.fullmatch(path) else "writing"
