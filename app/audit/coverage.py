"""Which tables are not audited, and why; all others have the trigger `audit` (see `audit_table`)."""

from collections.abc import Mapping
from typing import Final

EXEMPT: Final[Mapping[str, str]] = {
    "audit_pending": "the audit itself, guarded by its own triggers",
    "audit_log": "the audit itself, chained",
    "audit_head": "the end of the chain; moving it breaks what verification checks",
    "schema_migrations": "says itself what was applied and when, with the file's hash",
    "domain_events": "a log written beside audited changes; its rows are numbered and dropped by the month",
    "event_log": "a counter",
    "event_cursors": "how far readers of the log are; several times a second",
    "refresh_tokens": "hashes that change every few minutes; their login (refresh_families) is audited",
    "passing_keys": "the key of cache entries, which the service makes and throws away by itself",
    "idempotency_keys": "remembers what a request made; what it made is audited",
    "sla_clocks": "computed from audited tickets and policies, swept every 15 s",
    "chunks": "cut from audited articles by an audited index, thousands at a time",
    "chunk_signs": "read from chunks by the index's own model",
    "index_terms": "counted from chunks by a trigger",
    "indexed_articles": "what an index holds of audited articles",
    "affinities": "learnt from audited cases, anew whenever these change; nobody writes it",
    "indexed_cases": "which vectors of audited cases there are",
    "llm_calls": "a record of calls, written in batches; it states nothing that anything follows from",
    "budget_pots": "what answers cost, several writes an answer; the budgets are audited",
    "budget_reservations": "estimates of answers under way",
    "triage_decisions": "what the model said of a ticket; what became of it is the ticket's audited change",
    "triage_questions": "what an LLM was asked about tickets; what became of those is their audited change",
    "ledger_conversations": "computed from audited messages at every answer; the ledger is append-only",
    "sla_results": "computed when a clock ends; what the analytics count",
    "analytics_refreshes": "when views were computed last",
    "webhook_deliveries": "made from audited events; a replay of one says so in the log of events",
    "webhook_attempts": "a record of what receivers answered",
    "triage_drift": "statistics, computed again every hour",
}
"""By table. Of `jobs` replays and removals are audited, not leases and retries."""
