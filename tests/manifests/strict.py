"""Strict validation: a field that the API server would drop, not knowing it, is an error here."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from config.environment import CHECKOUT

KUBERNETES = "1.34"
KUBERAY_CRDS = CHECKOUT.parent / "shared" / "kuberay-crds"
OTHERS = Path(__file__).with_name("operators.yaml")
"""The fields that we use of other operators' kinds: their own schemas are not to be had offline."""

CORE = ("v1", "apps/", "batch/", "policy/", "networking.k8s.io/", "rbac.authorization.k8s.io/")


def problems(thing: dict[str, Any]) -> list[str]:
    """What is wrong with an object, by the schema of its kind."""
    kind, version = thing["kind"], thing["apiVersion"]
    if version.startswith(CORE):
        return list(_core(thing))
    if version.startswith("ray.io/"):
        return _errors(_ray(kind), thing)
    return _errors(_others()[f"{version} {kind}"], thing)


def _core(thing: dict[str, Any]) -> Iterator[str]:
    try:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'/'.join(map(str, error.path))}: {error.message}"


def _errors(schema: dict[str, Any], thing: dict[str, Any]) -> list[str]:
    found = jsonschema.Draft202012Validator(schema).iter_errors(thing)
    return [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in found]


@cache
def _ray(kind: str) -> dict[str, Any]:
    crd = yaml.load((KUBERAY_CRDS / f"{kind.lower()}s.yaml").read_text(), yaml.CSafeLoader)
    (version,) = (each for each in crd["spec"]["versions"] if each["name"] == "v1")
    schema: dict[str, Any] = _closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


@cache
def _others() -> dict[str, dict[str, Any]]:
    schemas = yaml.safe_load(OTHERS.read_text())
    return {kind: _with_metadata(_closed(spec)) for kind, spec in schemas.items()}


def _with_metadata(spec: dict[str, Any]) -> dict[str, Any]:
    free = {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
    return {
        "type": "object",
        "required": ["spec"],
        "additionalProperties": False,
        "properties": {**free, "spec": spec},
    }


def _closed(schema: Any) -> Any:
    """The schema without room for fields it does not name, Kubernetes' extensions made JSON Schema's."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if "properties" in closed and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if closed.get("x-kubernetes-int-or-string"):
        closed.pop("anyOf", None)
        closed["type"] = ["integer", "string"]
    return closed
