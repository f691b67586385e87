"""Profiles: how the application behaves, one YAML file for each kind of installation.

Shapes (replicas, resources) stand in `serve_config.yaml`; secrets and addresses in the environment.
"""

from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import yaml
from pydantic import Field, ValidationError, model_validator

from config.limits import LimitSettings
from config.lineup import Lineup, Settings
from config.webhooks import WebhookSettings

FOLDER = Path(__file__).parent


class ProfileError(ValueError):
    """The profile cannot be used; the message says which field and why."""


class Http(Settings):
    max_body_bytes: int = Field(1_048_576, gt=0)
    max_concurrent: int = Field(
        256, gt=0, description="requests one gateway replica works on; more get a 503"
    )
    forwarded_hops: int = Field(
        0, ge=0, description="proxies of ours in front of Serve that add to X-Forwarded-For; 0: nobody's word"
    )
    cors_origins: tuple[str, ...] = ()
    cors_credentials: bool = False
    docs: bool = False


class OidcSettings(Settings):
    """An OpenID provider that people may sign in at."""

    issuer: str
    client_id: str
    client_secret_env: str | None = Field(None, description="where the environment has the client's secret")
    redirect_uri: str = Field(description="our /api/v1/auth/oidc/callback, as the provider knows it")
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    new_users: Literal["customer", "agent"] = "customer"
    timeout_s: float = Field(5.0, gt=0)
    keys_ttl_s: float = Field(600.0, gt=0, description="how long its metadata and keys are kept")


class Auth(Settings):
    access_ttl_s: int = 900
    refresh_ttl_s: int = 30 * 86_400
    demo_users: bool = False
    oidc: OidcSettings | None = None


Precision: TypeAlias = Literal["fp32", "int8", "fp16", "bf16"]


class EmbedderSettings(Settings):
    model: str = "all-minilm-l6-v2"
    precision: Precision = Field(
        "int8", description="fp32 and int8 run on onnxruntime; fp16 and bf16 on torch, which wants a GPU"
    )
    dimensions: int = 384
    max_tokens: int = Field(256, description="longer texts are cut; the model was trained on 128, holds 512")
    threads: int = Field(1, description="onnxruntime intra-op threads of one replica")
    max_batch: int = 32
    batch_wait_s: float = Field(0.0, description="how long a lone text waits for company")


class RerankerSettings(Settings):
    kind: Literal["late_interaction", "cross_encoder"] = "late_interaction"
    model: str = Field(
        "all-minilm-l6-v2",
        description="a folder under ESERVICE_MODELS; a cross-encoder in half precision also a hub's id",
    )
    precision: Precision = "int8"
    threads: int = 1
    max_tokens: int = 160

    @property
    def name(self) -> str:
        """What /v1/models calls it."""
        return f"{self.model}-{self.kind.replace('_', '-')}"


class RetrievalSettings(Settings):
    store: Literal["milvus", "pgvector"] = Field(
        "milvus", description="where vectors are kept; pgvector lies in the database itself"
    )
    collection: str = "passages"
    candidates: int = Field(100, description="passages each of dense and sparse search returns")
    dense_weight: float = Field(0.8, ge=0, le=1, description="of z-scores; the rest is BM25's")
    coverage_weight: float = Field(
        0.3, ge=0, le=1, description="how far it falls where one passage has all the question's words"
    )
    article_support: float = Field(0.5, ge=0, le=1, description="how much an article's other passages count")
    first_line_weight: float = Field(
        0.7, ge=0, description="how much a question's first line counts beside its whole opening"
    )
    case_neighbours: int = Field(100, ge=1, description="solved cases that are asked for their votes")
    case_width: float = Field(
        0.12, gt=0, description="of the kernel over their cosines; wider asks more of them"
    )
    case_doubt: float = Field(
        20.0, ge=0, description="weight of having seen nothing like it, in cases of cosine 0.45"
    )
    case_weight: float = Field(
        5.0, ge=0, description="what all of the kernel's vote lifts an article by, in deviations"
    )
    case_ridge_weight: float = Field(
        5.0, ge=0, description="the same of the ridge regression's; with 0 for both, cases are not asked"
    )
    case_affinity_weight: float = Field(
        1.0, ge=0, description="the same of a unit of log-chance, where an affinity was learnt from cases"
    )
    rerank: bool = True
    rerank_depth: int = Field(24, ge=2, description="passages that are reranked, the best ones")
    rerank_weight: float = Field(
        0.2,
        ge=0,
        description="what a deviation of its scores lifts a passage by, in those of the fused score; 0: none",
    )
    top_k: int = 5
    per_article: int = Field(2, description="passages of one article an answer may use")
    min_relevance: float = Field(0.3, description="best cosine below which nothing counts as found")
    timeout_s: float = 5.0
    chunk_tokens: int = 180
    chunk_overlap_sentences: int = 1


class Engine(Settings):
    """The self-hosted model, served by `ray.serve.llm`; `engine_kwargs` go to vLLM as they are."""

    model_id: str
    source: str = Field(description="a folder, a hub id, or `prepared:` and a name under ESERVICE_MODELS")
    accelerator: Literal["cpu", "gpu"] = "gpu"
    accelerator_type: str | None = None
    num_cpus: float = 1
    context_tokens: int
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    env_vars: dict[str, str] = Field(default_factory=dict)


class BreakerSettings(Settings):
    """When a provider is left alone for a while, by what one replica sees of it."""

    failure_rate: float = Field(0.5, gt=0, le=1)
    least_calls: int = Field(10, gt=0, description="in the window; fewer never open the circuit")
    window_s: float = Field(30.0, gt=0)
    open_s: float = Field(10.0, gt=0, description="until it is probed")
    probes: int = Field(2, gt=0, description="calls that have to succeed before it is trusted again")


class RetrySettings(Settings):
    """Before any text, at the same provider, where the failure may pass; with full jitter."""

    at_most: int = Field(1, ge=0)
    base_s: float = Field(0.2, gt=0)
    ceiling_s: float = Field(2.0, gt=0, description="a provider whose Retry-After is longer is passed over")


class LlmSettings(Lineup):
    engine: Engine | None
    breaker: BreakerSettings = BreakerSettings()
    retries: RetrySettings = RetrySettings()
    max_answer_tokens: int = 120
    connect_timeout_s: float = 3.0
    first_token_timeout_s: float = 20.0
    token_gap_timeout_s: float = 10.0
    total_timeout_s: float = 60.0
    max_concurrent: int = Field(8, description="streams one replica keeps open at one provider")
    max_waiting: int = Field(32, description="callers that may wait for a slot; more are refused")


class AssistantSettings(Settings):
    prompt_tokens: int = Field(700, description="prompt's ceiling: a CPU reads about 500 tokens a second")
    history_messages: int = 4
    passages: int = Field(3, description="passages an answer is written from")


class AskingSettings(Settings):
    """When an LLM is asked about labels that triage's model cannot know yet."""

    per_day: int = Field(200, ge=0, description="tickets (UTC); 0 never asks")
    few: int = Field(3, ge=1, description="examples below which a label counts as not known")
    deadline_s: float = Field(20.0, gt=0)


class TriageSettings(Settings):
    abstain_below: float = Field(
        0.3, ge=0, le=1, description="probability under which an intent, or a queue, is left to a person"
    )
    asking: AskingSettings = AskingSettings()


class JobSettings(Settings):
    poll_s: float = 0.25
    lease_s: float = 60.0
    timeout_s: float = Field(300.0, description="a handler that takes longer has failed this attempt")
    drain_s: float = Field(20.0, description="how long a stopping worker lets running jobs finish")
    max_attempts: int = 8
    concurrency: int = 4
    backoff_base_s: float = 1.0
    backoff_max_s: float = 300.0
    keep_done_s: float = Field(86_400.0, description="how long done jobs can be looked at")
    jobs_per_worker: int = Field(50, description="queued jobs one more worker replica is worth")


class EventSettings(Settings):
    """Where the log of events is carried; the broker's address stands in the environment, as EVENTS_URL."""

    sink: Literal["redis", "rabbitmq", "kafka"] = "redis"
    stream: str = Field("eservice:events", description="Redis' stream, RabbitMQ's exchange or Kafka's topic")
    maxlen: int = Field(100_000, gt=0, description="entries a Redis stream keeps, about 400 bytes each")
    poll_s: float = Field(0.2, gt=0)
    batch: int = Field(200, gt=0)
    lease_s: float = Field(10.0, gt=0)
    timeout_s: float = Field(8.0, gt=0, description="for one batch; less than the lease")
    max_streams: int = Field(
        128, gt=0, description="listeners of one replica; half of `http.max_concurrent` stays for the rest"
    )
    max_streams_each: int = Field(8, gt=0, description="of which one person may have")
    stream_s: float = Field(240.0, gt=0, description="after which a stream ends; Serve cuts at 300 s")
    months_ahead: int = Field(3, ge=1)
    months_kept: int = Field(3, ge=1, description="how long events can be read again")

    @model_validator(mode="after")
    def _batch_within_lease(self) -> Self:
        if self.timeout_s >= self.lease_s:
            raise ValueError("events.timeout_s must be less than events.lease_s")
        return self


class AuditSettings(Settings):
    """How changes that were committed are linked to the audit's chain."""

    seal_s: float = Field(1.0, gt=0, description="how long a change waits at most while all is well")
    batch: int = Field(1000, gt=0, description="changes sealed in one transaction")
    timeout_s: float = Field(
        30.0, gt=0, description="for one turn; what is not sealed then waits for the next"
    )
    tell_s: float = Field(60.0, gt=0, description="how often the end of the chain stands in the log")
    months_ahead: int = Field(3, ge=1)
    months_kept: int | None = Field(None, ge=1, description="null: the audit is kept for ever")


class RetentionSettings(Settings):
    """For how many days each kind of data is kept; null keeps it until its person is erased.

    Texts go, rows stay: nothing that is counted changes.
    """

    ticket_texts: int | None = Field(
        1095, gt=0, description="after the ticket's last change, once it is closed"
    )
    conversations: int | None = Field(365, gt=0, description="after the last thing said in it")
    kept_answers: int | None = Field(
        180, gt=0, description="question and answer of each answer as it was made"
    )
    solved_cases: int | None = Field(None, gt=0, description="after the case was last confirmed or changed")
    model_calls: int | None = Field(400, gt=0, description="who made a call; its figures stay")
    logins: int | None = Field(90, gt=0, description="after the last of a login's tokens has expired")
    dead_jobs: int | None = Field(90, gt=0, description="after the last attempt failed")
    batch: int = Field(500, gt=0, description="rows of one kind that one statement empties")


class Stores(Settings):
    """`embedded` starts what the environment names no address for; `external` insists on addresses."""

    kind: Literal["embedded", "external"] = "external"
    pool_max: int = 8
    statement_timeout_s: float = 5.0
    redis_timeout_s: float = 0.5


class Profile(Settings):
    name: str
    http: Http = Http()
    limits: LimitSettings = LimitSettings()
    auth: Auth = Auth()
    stores: Stores = Stores()
    embedder: EmbedderSettings = EmbedderSettings()
    reranker: RerankerSettings = RerankerSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    llm: LlmSettings
    assistant: AssistantSettings = AssistantSettings()
    triage: TriageSettings = TriageSettings()
    jobs: JobSettings = JobSettings()
    events: EventSettings = EventSettings()
    audit: AuditSettings = AuditSettings()
    webhooks: WebhookSettings = WebhookSettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def signs_of(self) -> str:
        """The embedding model whose tokens' signs an index keeps for late interaction; empty for none."""
        return self.reranker.model if self.reranker.kind == "late_interaction" else ""

    @property
    def is_local(self) -> bool:
        """Whether this is one trusted machine, reached over loopback only."""
        return self.stores.kind == "embedded"


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load(name: str) -> Profile:
    """The profile of that name; `ProfileError` names what there is, or the field that is wrong."""
    file = FOLDER / f"{name}.yaml"
    if name not in names():
        raise ProfileError(f"there is no profile {name!r}; there are: {', '.join(names())}")
    settings = yaml.safe_load(file.read_text()) or {}
    if "extends" in settings:  # section by section: a section that is given replaces the other's
        base = load(settings.pop("extends"))
        settings = base.model_dump(exclude={"name"}, exclude_unset=True) | settings
    try:
        return Profile.model_validate({"name": name, **settings})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ProfileError(f"{file.name}: {problems}") from error
