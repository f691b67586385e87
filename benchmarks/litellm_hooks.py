"""What LiteLLM's proxy is given so that it does eService's work: a key with limits, and a record of each use.

`overhead_peers.py` puts a copy of this beside the proxy's configuration; it runs in LiteLLM's environment and
imports nothing of ours. Its limits are counted in the same Valkey as ours. Its records are lines of a file,
which costs less than ours in PostgreSQL: its own database wants an engine from the network.
"""

import json
from pathlib import Path
from typing import Any

from fastapi import Request
from litellm.integrations.custom_logger import CustomLogger  # type: ignore[import-not-found]
from litellm.proxy._types import UserAPIKeyAuth  # type: ignore[import-not-found]

KEY = "sk-instant-0123456789"
RECORDS = Path(__file__).with_name("usage.jsonl")


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    """The one key there is, with limits that are counted and never reached."""
    if api_key != KEY:
        raise PermissionError("unknown key")
    return UserAPIKeyAuth(api_key=api_key, user_id="bench", rpm_limit=1_000_000, tpm_limit=1_000_000_000)


class UsageRecords(CustomLogger):  # type: ignore[misc]
    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        usage = response_obj.usage
        line = {
            "user": "bench",
            "model": kwargs.get("model"),
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost_usd": kwargs.get("response_cost"),
            "seconds": (end_time - start_time).total_seconds(),
        }
        with RECORDS.open("a") as file:
            file.write(json.dumps(line) + "\n")


records = UsageRecords()
