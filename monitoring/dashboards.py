"""The Grafana dashboards, as code: `python -m monitoring.dashboards` writes monitoring/grafana/*.json.

Every panel is a query over the names of `monitoring.metrics`, of the recording rules, or of Ray's metrics.
Ray's dashboards (Serve, Serve LLM, Data) stand beside these; nothing of them is repeated here.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, prometheus, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).parent / "grafana"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
WIDTH, HEIGHT = 8, 7
"""Of a panel, in Grafana's grid of 24 columns."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph; `unit` is Grafana's name for it. `gpu`: has data only where there is a GPU."""

    title: str
    unit: str
    queries: Mapping[str, str]
    """Legend to PromQL."""
    about: str = ""
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    uid: str
    title: str
    rows: Mapping[str, tuple[Panel, ...]]

    def panels(self) -> list[Panel]:
        return [panel for row in self.rows.values() for panel in row]


def rate(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[5m]))"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[5m])))"


def share(part: str, whole: str) -> str:
    """0 where nothing of `part` was counted, nothing where nothing at all was."""
    return f"({rate(part)} or vector(0)) / ({rate(whole)} > 0)"


DESK = '{work="desk"}'
SERVICE = Board(
    "eservice-service",
    "eService: service",
    {
        "Requests": (
            Panel(
                "Requests by class of status",
                "reqps",
                {"{{status}}": rate("api_request_duration_seconds_count", "status")},
            ),
            Panel(
                "Share of 5xx",
                "percentunit",
                {"last 5 minutes": "api:errors:ratio_rate5m", "last hour": "api:errors:ratio_rate1h"},
                "The objective is at most 0.1 %, and 99.9 % availability over 30 days.",
            ),
            Panel(
                "Latency outside the model",
                "s",
                {
                    "p50": quantile(0.5, "api_request_duration_seconds", where=DESK),
                    "p95": quantile(0.95, "api_request_duration_seconds", where=DESK),
                    "p99": quantile(0.99, "api_request_duration_seconds", where=DESK),
                },
                "Objectives: p95 under 50 ms, p99 under 100 ms.",
            ),
            Panel(
                "p95 by route",
                "s",
                {"{{route}}": quantile(0.95, "api_request_duration_seconds", "route")},
            ),
            Panel(
                "Requests by route",
                "reqps",
                {"{{route}}": rate("api_request_duration_seconds_count", "route")},
            ),
            Panel(
                "Share slower than the objectives",
                "percentunit",
                {
                    "50 ms (at most 5 %)": "api:slower_than_50ms:ratio_rate1h",
                    "100 ms (at most 1 %)": "api:slower_than_100ms:ratio_rate1h",
                },
            ),
        ),
        "PostgreSQL and caches": (
            Panel(
                "p95 by query", "s", {"{{query}}": quantile(0.95, "database_query_duration_seconds", "query")}
            ),
            Panel(
                "Statements by query",
                "ops",
                {"{{query}}": rate("database_query_duration_seconds_count", "query")},
            ),
            Panel("Cache hits", "percentunit", {"{{cache}}": "cache_hit_ratio"}),
        ),
        "Audit": (
            Panel(
                "Oldest change that is not sealed",
                "s",
                {"age": "max(audit_unsealed_age_seconds)"},
                "A second or two; the sealer comes by every second.",
            ),
            Panel("Changes that are not sealed", "short", {"changes": "max(audit_unsealed)"}),
            Panel("Entries of the chain", "short", {"entries": "max(audit_position)"}, "It never falls."),
        ),
    },
)

LLM = Board(
    "eservice-llm",
    "eService: LLM and cost",
    {
        "Attempts": (
            Panel(
                "Attempts by outcome",
                "ops",
                {"{{provider}} {{outcome}}": rate("llm_request_duration_seconds_count", "provider, outcome")},
            ),
            Panel(
                "First token",
                "s",
                {
                    "p50 {{provider}}": quantile(0.5, "llm_time_to_first_token_seconds", "provider"),
                    "p95 {{provider}}": quantile(0.95, "llm_time_to_first_token_seconds", "provider"),
                },
            ),
            Panel(
                "Whole attempt, p95",
                "s",
                {"{{provider}} {{model}}": quantile(0.95, "llm_request_duration_seconds", "provider, model")},
            ),
            Panel(
                "Failovers",
                "ops",
                {"{{failed}} to {{to}}": rate("llm_failovers", "failed, to")},
                "An attempt at a provider because the one before it failed.",
            ),
        ),
        "Tokens and cost": (
            Panel("Tokens", "short", {"{{model}} {{kind}}": rate("llm_token_usage", "model, kind")}),
            Panel(
                "Cost of 24 hours",
                "currencyUSD",
                {"{{provider}} {{model}}": "sum by (provider, model) (increase(llm_cost_usd[1d]))"},
            ),
            Panel("Budgets spent", "percentunit", {"{{budget}}": "max by (budget) (llm_budget_spent_ratio)"}),
            Panel(
                "Cost of an answer",
                "currencyUSD",
                {
                    "mean of an hour": "sum(increase(llm_cost_usd[1h])) / "
                    '(sum(increase(llm_request_duration_seconds_count{outcome="answered"}[1h])) > 0)'
                },
            ),
        ),
    },
)

RETRIEVAL = Board(
    "eservice-retrieval",
    "eService: retrieval quality",
    {
        "Answers": (
            Panel("Answers by outcome", "ops", {"{{outcome}}": rate("answers", "outcome")}),
            Panel("Abstained", "percentunit", {"share": share("answers_abstained", "answers")}),
            Panel(
                "Ungrounded",
                "percentunit",
                {"share": share("answers_ungrounded", "answers")},
                "Answers no sentence of which is close to a passage of their prompt.",
            ),
        ),
        "Search": (
            Panel(
                "Score of the best passage",
                "short",
                {
                    "median": quantile(0.5, "retrieval_score"),
                    "lowest tenth": quantile(0.1, "retrieval_score"),
                    "mean of a day": "retrieval:score:mean1d",
                },
                "Cosine of question and passage. A mean that falls within a week is drift.",
            ),
            Panel(
                "p95 by stage",
                "s",
                {"{{stage}}": quantile(0.95, "retrieval_stage_duration_seconds", "stage")},
            ),
            Panel("Searches without a part", "ops", {"{{part}}": rate("retrieval_degraded", "part")}),
            Panel("Age of the index", "s", {"{{index}}": "max by (index) (index_age_seconds)"}),
            Panel("Chunks of the last indexing run", "short", {"{{what}}": "max by (what) (indexed_chunks)"}),
            Panel(
                "Since a batch job last ended well",
                "s",
                {"{{job}}": "time() - max by (job) (batch_last_success_timestamp_seconds)"},
            ),
        ),
    },
)

DESK_BOARD = Board(
    "eservice-desk",
    "eService: desk",
    {
        "Tickets": (
            Panel(
                "Tickets opened in an hour",
                "short",
                {"{{priority}}": "sum by (priority) (increase(tickets_created[1h]))"},
            ),
            Panel(
                "Assignments in an hour", "short", {"by {{by}}": "sum by (by) (increase(assignments[1h]))"}
            ),
            Panel(
                "Promises broken in an hour",
                "short",
                {"{{clock}}": "sum by (clock) (increase(sla_breaches[1h]))"},
            ),
        ),
        "The last 24 hours, every 5 minutes": (
            Panel(
                "Deflected, resolved, reopened, handed over",
                "percentunit",
                {"{{figure}}": 'max by (figure) (desk_figure{figure=~".*_rate"})'},
                "docs/ANALYTICS.md says what each of them divides by what.",
            ),
            Panel(
                "Promises kept, customers satisfied",
                "percentunit",
                {"{{figure}}": 'max by (figure) (desk_figure{figure=~"attainment|csat"})'},
            ),
            Panel(
                "Inquiries, and tickets open",
                "short",
                {"{{figure}}": 'max by (figure) (desk_figure{figure=~"opened|backlog"})'},
            ),
            Panel(
                "Cost, and cost of a verified resolution",
                "currencyUSD",
                {"{{figure}}": 'max by (figure) (desk_figure{figure=~"cost.*"})'},
            ),
        ),
        "Jobs": (
            Panel("Waiting", "short", {"{{kind}}": "max by (kind) (queue_depth)"}),
            Panel("Age of the oldest", "s", {"{{kind}}": "queue:oldest:seconds"}),
            Panel("Given up", "short", {"{{kind}}": "max by (kind) (jobs_dead)"}),
            Panel(
                "Wait until taken, p95", "s", {"{{kind}}": quantile(0.95, "queue_latency_seconds", "kind")}
            ),
            Panel("Run, p95", "s", {"{{kind}}": quantile(0.95, "job_duration_seconds", "kind")}),
            Panel("Runs by outcome", "ops", {"{{outcome}}": rate("job_duration_seconds_count", "outcome")}),
        ),
        "Webhooks": (
            Panel("Waiting", "short", {"deliveries": "max(webhook_deliveries_pending)"}),
            Panel(
                "Attempts by outcome",
                "ops",
                {"{{outcome}}": rate("webhook_attempt_duration_seconds_count", "outcome")},
            ),
            Panel("Switched off", "short", {"endpoints": "max(webhooks_switched_off)"}),
        ),
        "Drift of triage": (
            Panel(
                "Alarms of the newest day",
                "short",
                {"{{statistic}}": "max by (statistic) (triage_drift_alarm)"},
                "docs/TRIAGE.md says what each statistic compares.",
            ),
        ),
    },
)

CLUSTER = Board(
    "eservice-cluster",
    "eService: cluster",
    {
        "Nodes": (
            Panel("CPU", "percent", {"{{instance}}": "ray_node_cpu_utilization"}),
            Panel("Memory in use", "bytes", {"{{instance}}": "ray_node_mem_used"}),
            Panel("Disk free", "bytes", {"{{instance}}": "ray_node_disk_free"}),
            Panel(
                "GPU memory in use",
                "percentunit",
                {
                    "{{instance}} {{GpuIndex}}": "ray_node_gram_used / "
                    "(ray_node_gram_used + ray_node_gram_available)"
                },
                "vLLM takes `gpu_memory_utilization` of it by design.",
                gpu=True,
            ),
            Panel(
                "GPU busy", "percent", {"{{instance}} {{GpuIndex}}": "ray_node_gpus_utilization"}, gpu=True
            ),
        ),
        "Deployments": (
            Panel(
                "Healthy replicas",
                "short",
                {"{{deployment}}": "sum by (deployment) (ray_serve_deployment_replica_healthy)"},
            ),
            Panel(
                "Requests under way",
                "short",
                {"{{deployment}}": "sum by (deployment) (ray_serve_replica_processing_queries)"},
            ),
            Panel(
                "Restarts of replicas in an hour",
                "short",
                {
                    "{{deployment}}": "sum by (deployment) "
                    "(increase(ray_serve_deployment_replica_starts_total[1h]))"
                },
            ),
        ),
    },
)

BOARDS = (SERVICE, LLM, RETRIEVAL, DESK_BOARD, CLUSTER)


def built(board: Board) -> str:
    """A board as Grafana imports it."""
    made = (
        Dashboard(board.title)
        .uid(board.uid)
        .tags(["eservice"])
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
        .with_variable(DatasourceVariable("source").type("prometheus").label("Prometheus"))
    )
    for name, panels in board.rows.items():
        made = made.with_row(Row(name))
        for panel in panels:
            made = made.with_panel(_graph(panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _graph(panel: Panel) -> timeseries.Panel:
    graph = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .unit(panel.unit)
        .min(0)
        .datasource(SOURCE)
        .legend(common.VizLegendOptions().show_legend(True))
        .span(WIDTH)
        .height(HEIGHT)
    )
    for ref, (legend, query) in zip(ascii_uppercase, panel.queries.items(), strict=False):
        graph = graph.with_target(prometheus.Dataquery().ref_id(ref).expr(query).legend_format(legend))
    return graph


def main(folder: Path = FOLDER) -> int:
    folder.mkdir(exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid}.json").write_text(built(board))
    return 0


if __name__ == "__main__":
    sys.exit(main())
