"""Secrets and signatures as Standard Webhooks has them (standardwebhooks.com, version 1)."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

BYTES = 32
"""The specification asks for 24 to 64."""


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def headers(message_id: str, at: datetime, body: str, keys: Sequence[str]) -> dict[str, str]:
    """What proves to a receiver who has one of `keys` that the body is ours and from `at` (in UTC)."""
    signatures = [Webhook(key).sign(message_id, at, body) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
