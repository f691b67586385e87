"""Entity tags: the version of what a client read, so that it changes nothing it did not see."""

import re


def versions(if_match: str) -> frozenset[int] | None:
    """The versions that `If-Match` names, `None` for any; weak tags never match (RFC 9110, 13.1.1)."""
    if if_match.strip() == "*":
        return None
    return frozenset(int(tag) for tag in re.findall(r'(?:^|,)\s*"(\d{1,9})"', if_match))
