"""An event as receivers get it: Standard Webhooks' `type`, `timestamp` and `data`."""

import json

from app.events.schemas import DomainEvent


def body(event: DomainEvent) -> str:
    """The same bytes at every attempt. It says what changed; what people wrote is read by the API."""
    data = event.model_dump(mode="json", include={"aggregate", "aggregate_id", "kind", "actor", "position"})
    message = {
        "type": f"{event.aggregate}.{event.kind}",
        "timestamp": event.occurred_at.isoformat(),
        "data": {**data, "details": event.data},
    }
    return json.dumps(message, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
