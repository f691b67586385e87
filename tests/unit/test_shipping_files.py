"""Collector, shipper and index: they parse, and speak of fields that log lines and spans have."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from monitoring.masking import PRIVATE
from monitoring.tracing import ATTRIBUTES

FOLDER = Path(__file__).parents[2] / "monitoring"
ELASTIC = FOLDER / "elasticsearch"
TEMPLATE = json.loads((ELASTIC / "index-template.json").read_text())["template"]
FIELDS = set(TEMPLATE["mappings"]["properties"])


def pipelines(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "collector" / file).read_text())
    for part in ("receivers", "processors", "exporters"):
        for pipeline in found["service"]["pipelines"].values():
            assert set(pipeline[part]) <= found[part].keys(), f"{part} of {file}"
    return found


def test_the_collector_keeps_what_failed_or_was_slow() -> None:
    collector = pipelines("collector.yaml")
    sampling = collector["processors"]["tail_sampling"]
    kinds = {policy["type"] for policy in sampling["policies"]}
    assert kinds == {"status_code", "latency", "and", "probabilistic"}
    assert int(sampling["decision_wait"].removesuffix("s")) > 60, "an answer may take a minute"
    keys = set(re.findall(r"'key': '([^']+)'", str(sampling)))
    assert keys <= ATTRIBUTES
    steps = collector["service"]["pipelines"]["traces"]["processors"]
    assert steps.index("tail_sampling") < steps.index("batch")


def test_jaeger_keeps_what_it_is_sent() -> None:
    jaeger = pipelines("jaeger.yaml")
    assert set(jaeger["service"]["extensions"]) <= jaeger["extensions"].keys()


def test_logs_are_deleted_after_a_while() -> None:
    policy = json.loads((ELASTIC / "ilm-policy.json").read_text())["policy"]["phases"]
    assert policy["delete"]["min_age"] == "30d"
    assert TEMPLATE["settings"]["index.lifecycle.name"] == "eservice-logs"


def test_the_index_has_the_ids_and_nothing_private() -> None:
    assert {
        "request_id",
        "trace_id",
        "span_id",
        "user_id",
        "deployment",
        "replica",
        "level",
        "logger",
    } <= FIELDS
    assert not FIELDS & PRIVATE


def test_the_shipper_reads_the_replicas_logs() -> None:
    shipper = yaml.safe_load((ELASTIC / "filebeat.yml").read_text())
    (source,) = shipper["filebeat.inputs"]
    assert source["paths"] == ["${RAY_LOGS:/tmp/ray/session_latest/logs}/worker-*.err"]
    assert shipper["output.elasticsearch"]["index"] == "eservice-logs"


def test_saved_searches_ask_for_fields_there_are() -> None:
    objects = [json.loads(line) for line in (ELASTIC / "kibana.ndjson").read_text().splitlines()]
    ids = {each["id"] for each in objects}
    searches = [each for each in objects if each["type"] == "search"]
    assert len(searches) >= 5
    for search in searches:
        assert set(search["attributes"]["columns"]) <= FIELDS
        assert {reference["id"] for reference in search["references"]} <= ids
        source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        assert set(re.findall(r"(\w+) :", source["query"]["query"])) <= FIELDS
