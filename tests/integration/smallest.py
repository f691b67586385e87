"""The smallest value that a JSON schema of our OpenAPI document allows."""

import uuid
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def smallest(schema: Schema, document: Schema) -> Any:
    """Required properties only, first alternatives, shortest texts."""
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return smallest(found, document)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return smallest(schema[key][0], document)
    fixed = [schema[key] for key in ("const", "default") if key in schema] or schema.get("enum")
    return fixed[0] if fixed else _of_type(schema, document)


def _of_type(schema: Schema, document: Schema) -> Any:
    match schema.get("type", "object"):
        case "object":
            required = schema.get("required", ())
            return {name: smallest(schema["properties"][name], document) for name in required}
        case "array":
            return [smallest(schema["items"], document) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
    return _text(schema)


def _text(schema: Schema) -> str:
    match schema.get("format"):
        case "uuid":
            return str(uuid.uuid4())
        case "date-time":
            return "2030-01-01T00:00:00Z"
        case "date":
            return "2030-01-01"
    return "x" * max(1, schema.get("minLength", 1))
