"""Takes personal data out of text that people other than its owner will read: logs and span attributes.

It knows what has a form: addresses, numbers, keys. It does not know names, which is why what customers write
is never logged and the fields that would hold it are dropped whole (`PRIVATE`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "[masked]"
PRIVATE = frozenset(
    {
        "address",
        "answer",
        "api_key",
        "authorization",
        "body",
        "comment",
        "content",
        "cookie",
        "customer_name",
        "delta",
        "display_name",
        "email",
        "first_name",
        "full_name",
        "last_name",
        "password",
        "phone",
        "prompt",
        "query",
        "question",
        "recipient",
        "refresh_token",
        "secret",
        "subject",
        "text",
        "title",
        "token",
        "username",
    }
)
"""Keys whose values are never written, whatever they look like."""

FORMS = re.compile(
    r"""
    (?P<url>(?<=://)[^\s/@:]+:[^\s/@]+(?=@))                          # user and password of a URL
  | (?P<email>[\w.+%'!\#$&*/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<jwt>\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*)
  | (?P<bearer>(?i:\b(?:bearer|basic)\s+)[\w.~+/=-]{8,})
  | (?P<key>\b(?:sk|esk|pk|rk|ek|es|ghp|xox[abp])[-_][\w-]{12,})
  | (?P<iban>\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b)
  | (?P<ipv4>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]))
  | (?P<ipv6>(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,6}(?![\w:]))
  | (?P<number>(?<![\w./:-])[+(]?\d[\d ()/.-]{7,22}\d(?![\w-]))       # telephone, card, account
    """,
    re.VERBOSE,
)
HARMLESS = re.compile(r"\d{4}-\d{2}-\d{2}[ T]?[\d:.]*|127\.0\.0\.1|0\.0\.0\.0")
MOST = 8_000
"""Characters of one text that are kept."""


def mask(text: str) -> str:
    """`text`, each thing of a known form replaced. Masking twice changes nothing more."""
    return FORMS.sub(_replaced, text[:MOST])


def _replaced(found: re.Match[str]) -> str:
    whole = found.group()
    kind = found.lastgroup or "data"
    if HARMLESS.fullmatch(whole):
        return whole
    if kind == "number" and not 8 <= sum(c.isdigit() for c in whole) <= 19:
        return whole
    return f"[{kind}]"


def masked(value: Any, key: str = "") -> Any:
    """A log field's value, masked inside lists and mappings too; `PRIVATE` keys lose theirs."""
    if key.lower() in PRIVATE and value is not None:
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {str(k): masked(v, str(k)) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [masked(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask(str(value))
