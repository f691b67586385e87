"""Every metric of the service, declared once. docs/OBSERVABILITY.md explains them; names are the wire's.

In a replica `deployments.observation` gives them Ray's exporter; batch jobs and commands use
`monitoring.prometheus`. Durations are in seconds.
"""

from monitoring.instruments import Values, counter, gauge, histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WAITING = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

ROUTE = Values(at_most=200, where="route templates of the application")
PROVIDER = Values(at_most=40, where="providers of the profile")
MODEL = Values(at_most=80, where="models of the profile")
JOB = Values(at_most=60, where="job kinds that have a handler")
CACHE = Values(at_most=20, where="caches in code")
BATCH = Values("index", "build", "rebuild", "train", "evaluate", "backfill")
QUERY = Values(at_most=400, where="functions that hold a statement")

API_REQUEST = histogram(
    "api_request_duration_seconds",
    "A request until the last byte of its response. `work` is `inference` where a model is waited for",
    REQUEST,
    route=ROUTE,
    method=Values("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    status=Values("1xx", "2xx", "3xx", "4xx", "5xx"),
    work=Values("inference", "desk"),
)

LLM_REQUEST = histogram(
    "llm_request_duration_seconds",
    "One attempt at one provider, until its last token or its failure",
    REQUEST,
    provider=PROVIDER,
    model=MODEL,
    outcome=Values(
        "answered",
        "abandoned",
        "busy",
        "circuit_open",
        "connect",
        "first_token_timeout",
        "stalled",
        "total_timeout",
        "rate_limited",
        "misconfigured",
        "broken",
        "context_length",
        "content_filter",
        "rejected",
    ),
)
LLM_FIRST_TOKEN = histogram(
    "llm_time_to_first_token_seconds",
    "From an attempt's start to its first text",
    REQUEST,
    provider=PROVIDER,
    model=MODEL,
)
LLM_TOKENS = counter(
    "llm_token_usage",
    "Tokens as the provider counted them",
    provider=PROVIDER,
    model=MODEL,
    kind=Values("prompt", "completion"),
)
LLM_COST = counter("llm_cost_usd", "What attempts cost, in US dollars", provider=PROVIDER, model=MODEL)
LLM_BUDGET = gauge(
    "llm_budget_spent_ratio",
    "Of each budget's limit, what its running period has come to, reservations included",
    budget=Values(at_most=50, where="budgets that administrators made"),
)
LLM_FAILOVERS = counter(
    "llm_failovers",
    "Attempts at a provider because the one before it failed",
    failed=PROVIDER,
    to=PROVIDER,
)

CACHE_REQUESTS = counter("cache_requests", "Look-ups in a cache", cache=CACHE)
CACHE_HITS = counter("cache_hits", "Look-ups that found something", cache=CACHE)

QUEUE_LATENCY = histogram(
    "queue_latency_seconds", "From when a job was due to when a worker took it", WAITING, kind=JOB
)
JOB_DURATION = histogram(
    "job_duration_seconds",
    "One run of a job's handler",
    WAITING,
    kind=JOB,
    outcome=Values("done", "failed"),
)
QUEUE_DEPTH = gauge("queue_depth", "Jobs that could run now", kind=JOB)
QUEUE_AGE = gauge("queue_age_seconds", "How long the oldest job that could run has waited", kind=JOB)
JOBS_DEAD = gauge("jobs_dead", "Jobs that were given up and wait for a person", kind=JOB)

AUDIT_UNSEALED = gauge("audit_unsealed", "Changes that are not linked to the audit's chain yet")
AUDIT_UNSEALED_AGE = gauge("audit_unsealed_age_seconds", "How long the oldest of them has waited")
AUDIT_POSITION = gauge("audit_position", "Entries in the audit's chain since it began; it never falls")

DATABASE_QUERY = histogram(
    "database_query_duration_seconds",
    "One statement, by the function that holds it",
    FAST,
    query=QUERY,
    outcome=Values("ok", "failed"),
)

RETRIEVAL_STAGE = histogram(
    "retrieval_stage_duration_seconds",
    "One stage of a search",
    FAST,
    stage=Values(at_most=20, where="stages of the retriever"),
)
RETRIEVAL_SCORE = histogram("retrieval_score", "Cosine of the best passage found and the question", TENTHS)
RETRIEVAL_DEGRADED = counter(
    "retrieval_degraded",
    "Searches that did without a part",
    part=Values("milvus", "embedder", "reranker", "cases"),
)
INDEX_AGE = gauge(
    "index_age_seconds",
    "Since the newest indexing run of an index ended",
    index=Values(at_most=20, where="indexes"),
)

ANSWERS = counter(
    "answers", "Answers of the assistant", outcome=Values("answered", "abstained", "degraded", "interrupted")
)
ANSWERS_ABSTAINED = counter("answers_abstained", "Answers that said they do not know")
ANSWERS_UNGROUNDED = counter("answers_ungrounded", "Answers no sentence of which is close to a passage")

TICKETS_CREATED = counter(
    "tickets_created", "Tickets opened", priority=Values("low", "normal", "high", "urgent", "unset")
)
SLA_BREACHES = counter(
    "sla_breaches",
    "Promises broken",
    clock=Values("first_response", "next_response", "resolution"),
)
DESK_FIGURE = gauge(
    "desk_figure",
    "Key figures of the 24 hours before analytics were last refreshed: rates from 0 to 1, counts, US dollars",
    figure=Values(
        "opened",
        "deflection_rate",
        "resolution_rate",
        "reopen_rate",
        "hand_off_rate",
        "attainment",
        "csat",
        "cost_usd",
        "cost_per_verified_resolution",
        "backlog",
    ),
)
ASSIGNMENTS = counter("assignments", "Tickets given to somebody", by=Values("routing", "person"))

TRIAGE_DRIFT = gauge(
    "triage_drift_alarm",
    "1 where the newest day that was judged is unlike the days before it, else 0",
    statistic=Values("inputs", "confidence", "labels", "corrections", "disagreement"),
)

WEBHOOK_ATTEMPT = histogram(
    "webhook_attempt_duration_seconds",
    "One attempt to deliver an event to somebody else's server",
    REQUEST,
    outcome=Values("delivered", "failed"),
)
WEBHOOKS_PENDING = gauge("webhook_deliveries_pending", "Deliveries that wait for an attempt")
WEBHOOKS_OFF = gauge("webhooks_switched_off", "Endpoints that were switched off because they failed")

BATCH_DURATION = gauge("batch_duration_seconds", "How long the last run of a batch job took", job=BATCH)
BATCH_SUCCESS = gauge(
    "batch_last_success_timestamp_seconds",
    "When a batch job last ended well, in seconds since 1970",
    job=BATCH,
)
INDEXED_CHUNKS = gauge(
    "indexed_chunks", "What the last indexing run did", what=Values("chunks", "embedded", "deleted")
)
