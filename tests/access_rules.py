"""Who may call each operation of the API. A new endpoint without a line here fails the matrix.

`tests/unit/test_access_rules.py` holds the table against the OpenAPI document,
`tests/integration/test_matrix.py` calls every operation with every kind of caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.auth.schemas import Role

EVERYBODY: frozenset[Role] = frozenset({"customer", "agent", "supervisor", "admin"})
STAFF: frozenset[Role] = EVERYBODY - {"customer"}
LEADS: frozenset[Role] = frozenset({"supervisor", "admin"})
ADMINS: frozenset[Role] = frozenset({"admin"})


@dataclass(frozen=True)
class Rule:
    roles: frozenset[Role]
    """Who may, if it is not theirs."""
    owner: bool = False
    """Whether it is about somebody's thing: its owner may too, other customers do not learn of it."""
    signed_in: bool = True
    body: Mapping[str, Any] = field(default_factory=dict)
    """What the smallest body that the schema allows lacks to be accepted; `{ticket_id}` is the victim's."""
    keys: bool = True
    """Whether an API key is enough."""
    endless: bool = False
    """Whether the answer streams for minutes: whoever may is not called, whoever may not is refused."""


CALENDAR = {"zone": "Europe/Berlin", "week": {"mon": [{"opens": "09:00", "closes": "17:00"}]}}

ANYBODY = Rule(EVERYBODY, signed_in=False)
OWN_OR_STAFF = Rule(STAFF, owner=True)

RULES: dict[str, Rule] = {
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "POST /api/v1/auth/token": ANYBODY,
    "POST /api/v1/auth/refresh": ANYBODY,
    "POST /api/v1/auth/logout": ANYBODY,
    "GET /api/v1/auth/oidc": ANYBODY,
    "GET /api/v1/auth/oidc/callback": ANYBODY,
    "GET /api/v1/users/me": Rule(EVERYBODY),
    "PUT /api/v1/users/me/password": Rule(EVERYBODY, keys=False),
    "GET /api/v1/users": Rule(ADMINS, keys=False),
    "POST /api/v1/users": Rule(ADMINS, keys=False, body={"email": "new@example.com"}),
    "GET /api/v1/users/{user_id}": Rule(ADMINS, keys=False),
    "PATCH /api/v1/users/{user_id}": Rule(ADMINS, keys=False),
    "GET /api/v1/users/me/export": Rule(EVERYBODY, keys=False),
    "POST /api/v1/users/me/erasure": Rule(frozenset({"customer"}), keys=False),
    "GET /api/v1/users/{user_id}/export": Rule(ADMINS, keys=False),
    "POST /api/v1/users/{user_id}/erasure": Rule(ADMINS, keys=False),
    "GET /api/v1/admin/erasures": Rule(ADMINS),
    "GET /api/v1/admin/erasures/{erasure_id}": Rule(ADMINS),
    "POST /api/v1/api-keys": Rule(EVERYBODY, keys=False),
    "GET /api/v1/api-keys": Rule(EVERYBODY, keys=False),
    "DELETE /api/v1/api-keys/{key_id}": Rule(ADMINS, owner=True, keys=False),
    "POST /api/v1/chat/conversations": Rule(EVERYBODY),
    "GET /api/v1/chat/conversations": Rule(EVERYBODY),
    "GET /api/v1/chat/conversations/{conversation_id}": OWN_OR_STAFF,
    "GET /api/v1/chat/conversations/{conversation_id}/messages": OWN_OR_STAFF,
    "POST /api/v1/chat/conversations/{conversation_id}/messages": OWN_OR_STAFF,
    "POST /api/v1/chat/conversations/{conversation_id}/feedback": Rule(
        STAFF, owner=True, body={"message_id": "{answer_id}"}
    ),
    "POST /api/v1/chat/conversations/{conversation_id}/handoff": OWN_OR_STAFF,
    "POST /api/v1/tickets": Rule(EVERYBODY),
    "GET /api/v1/tickets": Rule(EVERYBODY),
    "POST /api/v1/tickets/bulk": Rule(STAFF),
    "GET /api/v1/tickets/{ticket_id}": OWN_OR_STAFF,
    "PATCH /api/v1/tickets/{ticket_id}": Rule(STAFF),
    "POST /api/v1/tickets/{ticket_id}/transitions": OWN_OR_STAFF,
    "POST /api/v1/tickets/{ticket_id}/assignment": Rule(STAFF, body={"action": "take"}),
    "POST /api/v1/tickets/{ticket_id}/csat": Rule(frozenset(), owner=True),
    "GET /api/v1/tickets/{ticket_id}/messages": OWN_OR_STAFF,
    "POST /api/v1/tickets/{ticket_id}/messages": OWN_OR_STAFF,
    "GET /api/v1/tickets/{ticket_id}/events": OWN_OR_STAFF,
    "GET /api/v1/tickets/{ticket_id}/links": Rule(STAFF),
    "POST /api/v1/tickets/{ticket_id}/links": Rule(STAFF),
    "DELETE /api/v1/tickets/{ticket_id}/links/{kind}/{other_id}": Rule(STAFF),
    "POST /api/v1/tickets/{ticket_id}/merge": Rule(STAFF),
    "GET /api/v1/tickets/{ticket_id}/suggestions": Rule(STAFF),
    "POST /api/v1/tickets/{ticket_id}/articles": Rule(STAFF),
    "DELETE /api/v1/tickets/{ticket_id}/articles/{article_id}": Rule(STAFF),
    "GET /api/v1/tickets/{ticket_id}/attachments": OWN_OR_STAFF,
    "POST /api/v1/tickets/{ticket_id}/attachments": Rule(
        STAFF, owner=True, body={"media_type": "text/plain", "sha256": "0" * 64}
    ),
    "GET /api/v1/admin/jobs/dead": Rule(ADMINS),
    "GET /api/v1/admin/jobs/depths": Rule(ADMINS),
    "POST /api/v1/admin/jobs/{job_id}/replay": Rule(ADMINS),
    "GET /api/v1/admin/audit": Rule(ADMINS),
    "GET /api/v1/admin/audit/head": Rule(ADMINS),
    "GET /api/v1/events": Rule(STAFF, endless=True),
    "GET /api/v1/sla/calendars": Rule(LEADS),
    "POST /api/v1/sla/calendars": Rule(LEADS, body=CALENDAR),
    "PUT /api/v1/sla/calendars/{calendar_id}": Rule(LEADS, body=CALENDAR),
    "GET /api/v1/sla/policies": Rule(LEADS),
    "POST /api/v1/sla/policies": Rule(LEADS, body={"resolution_min": 60}),
    "PUT /api/v1/sla/policies/{policy_id}": Rule(LEADS, body={"resolution_min": 60}),
    "PUT /api/v1/sla/customers/{customer_id}/tier": Rule(LEADS),
    "GET /api/v1/routing/queues": Rule(STAFF),
    "GET /api/v1/routing/agents": Rule(STAFF),
    "GET /api/v1/routing/skills": Rule(STAFF),
    "POST /api/v1/routing/queues": Rule(LEADS),
    "GET /api/v1/routing/queues/{name}/fields": Rule(STAFF),
    "PUT /api/v1/routing/queues/{name}/fields": Rule(LEADS),
    "PATCH /api/v1/routing/agents/{agent_id}": Rule(LEADS),
    "GET /api/v1/routing/rules": Rule(STAFF),
    "POST /api/v1/routing/rules": Rule(
        LEADS, body={"conditions": {"language": ["de"]}, "actions": {"priority": "high"}}
    ),
    "PUT /api/v1/routing/rules/{rule_id}": Rule(
        LEADS, body={"conditions": {"language": ["de"]}, "actions": {"priority": "high"}}
    ),
    "DELETE /api/v1/routing/rules/{rule_id}": Rule(LEADS),
    "POST /api/v1/routing/preview": Rule(STAFF),
    "POST /api/v1/knowledge/search": Rule(EVERYBODY),
    "GET /api/v1/knowledge/articles": Rule(EVERYBODY),
    "GET /api/v1/knowledge/articles/{article_id}": Rule(EVERYBODY),
    "GET /api/v1/knowledge/cases": Rule(STAFF),
    "GET /api/v1/knowledge/cases/{case_id}": Rule(STAFF),
    "DELETE /api/v1/knowledge/cases/{case_id}": Rule(STAFF),
    "DELETE /api/v1/knowledge/cases/{case_id}/links/{article_id}": Rule(STAFF),
    "GET /api/v1/knowledge/teams": Rule(LEADS),
    "PUT /api/v1/knowledge/teams/{team}": Rule(LEADS),
    "POST /api/v1/knowledge/articles": Rule(LEADS),
    "PATCH /api/v1/knowledge/articles/{article_id}": Rule(LEADS),
    "DELETE /api/v1/knowledge/articles/{article_id}": Rule(LEADS),
    "POST /api/v1/knowledge/documents": Rule(LEADS),
    "GET /api/v1/knowledge/documents": Rule(LEADS),
    "GET /api/v1/knowledge/documents/{document_id}": Rule(LEADS),
    "DELETE /api/v1/knowledge/documents/{document_id}": Rule(LEADS),
    "POST /api/v1/knowledge/indexes": Rule(ADMINS),
    "POST /api/v1/knowledge/indexes/rollback": Rule(ADMINS),
    "POST /api/v1/knowledge/indexes/{name}/promote": Rule(ADMINS),
    "PUT /api/v1/knowledge/indexes/questions": Rule(ADMINS),
    "DELETE /api/v1/knowledge/indexes/{name}": Rule(ADMINS),
    "GET /api/v1/knowledge/indexes": Rule(STAFF),
    "GET /api/v1/knowledge/rerankers": Rule(STAFF),
    "POST /api/v1/knowledge/rerankers/{version_id}/promote": Rule(ADMINS),
    "DELETE /api/v1/knowledge/rerankers/active": Rule(ADMINS),
    "POST /v1/chat/completions": Rule(EVERYBODY, body={"model": "eservice-assistant"}),
    "GET /v1/models": Rule(EVERYBODY),
    "GET /v1/models/{model}": Rule(EVERYBODY),
    "POST /v1/embeddings": Rule(EVERYBODY, body={"model": "word-vectors", "input": "a text"}),
    "POST /v1/rerank": Rule(STAFF, body={"model": "reranker", "query": "q", "documents": ["d"]}),
    "GET /api/v1/analytics/overview": Rule(LEADS),
    "GET /api/v1/analytics/rates": Rule(LEADS),
    "GET /api/v1/analytics/sla": Rule(LEADS),
    "GET /api/v1/analytics/times": Rule(LEADS),
    "GET /api/v1/analytics/csat": Rule(LEADS),
    "GET /api/v1/analytics/costs": Rule(LEADS),
    "GET /api/v1/analytics/backlog": Rule(LEADS),
    "GET /api/v1/analytics/spend": Rule(LEADS),
    "GET /api/v1/analytics/agents": Rule(LEADS),
    "GET /api/v1/analytics/inquiries/{inquiry_id}": Rule(LEADS),
    "GET /api/v1/admin/triage/drift": Rule(LEADS),
    "GET /api/v1/admin/triage/labels": Rule(LEADS),
    "PUT /api/v1/admin/triage/labels/{name}": Rule(ADMINS),
    "DELETE /api/v1/admin/triage/labels/{name}": Rule(ADMINS),
    "GET /api/v1/admin/triage/versions": Rule(LEADS),
    "GET /api/v1/admin/triage/versions/{version_id}": Rule(LEADS),
    "GET /api/v1/admin/triage/versions/{version_id}/standing": Rule(LEADS),
    "POST /api/v1/admin/triage/retrain": Rule(ADMINS),
    "POST /api/v1/admin/triage/rollback": Rule(ADMINS),
    "POST /api/v1/admin/triage/versions/{version_id}/promote": Rule(ADMINS),
    "POST /api/v1/admin/triage/versions/{version_id}/shadow": Rule(ADMINS),
    "POST /api/v1/admin/webhooks": Rule(
        ADMINS, body={"url": "https://hooks.example.com/", "event_types": ["ticket.created"]}
    ),
    "GET /api/v1/admin/webhooks": Rule(ADMINS),
    "GET /api/v1/admin/webhooks/event-types": Rule(ADMINS),
    "GET /api/v1/admin/webhooks/{webhook_id}": Rule(ADMINS),
    "PATCH /api/v1/admin/webhooks/{webhook_id}": Rule(ADMINS),
    "DELETE /api/v1/admin/webhooks/{webhook_id}": Rule(ADMINS),
    "POST /api/v1/admin/webhooks/{webhook_id}/secret": Rule(ADMINS),
    "POST /api/v1/admin/webhooks/{webhook_id}/test": Rule(ADMINS),
    "GET /api/v1/admin/webhooks/{webhook_id}/deliveries": Rule(ADMINS),
    "GET /api/v1/admin/webhooks/{webhook_id}/deliveries/{event_id}": Rule(ADMINS),
    "POST /api/v1/admin/webhooks/{webhook_id}/deliveries/{event_id}/replay": Rule(ADMINS),
    "POST /api/v1/admin/webhooks/{webhook_id}/replay": Rule(ADMINS),
    "GET /api/v1/admin/budgets": Rule(ADMINS),
    "PUT /api/v1/admin/budgets/{name}": Rule(ADMINS),
    "DELETE /api/v1/admin/budgets/{name}": Rule(ADMINS),
    "GET /api/v1/admin/answers": Rule(ADMINS),
    "GET /api/v1/admin/answers/{answer_id}": Rule(ADMINS),
    "POST /api/v1/admin/answers/{answer_id}/replay": Rule(ADMINS),
    "GET /api/v1/admin/providers": Rule(ADMINS),
    "GET /api/v1/admin/providers/versions": Rule(ADMINS),
    "POST /api/v1/admin/providers/versions/{version}/activation": Rule(ADMINS),
    "PUT /api/v1/admin/providers/routes/{name}": Rule(ADMINS, body={"name": "nobodys"}),
    "DELETE /api/v1/admin/providers/routes/{name}": Rule(ADMINS),
    "PUT /api/v1/admin/providers/{name}": Rule(ADMINS, body={"name": "nobodys"}),
    "PATCH /api/v1/admin/providers/{name}": Rule(ADMINS),
    "DELETE /api/v1/admin/providers/{name}": Rule(ADMINS),
}
