"""The OpenAPI document: what every operation may answer, besides what its own slice says."""

from typing import Any

from fastapi import FastAPI

from app.errors import (
    Forbidden,
    Invalid,
    NotFound,
    ServiceError,
    TooLarge,
    TooManyRequests,
    Unauthorised,
    Unavailable,
    documented,
)

OPENAI_ERROR: dict[str, Any] = {
    "title": "OpenAIError",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
OPENLY = ("/healthz", "/readyz")


def complete(app: FastAPI) -> None:
    """Let `app` describe itself with the errors that come from what every request passes through."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        for path, item in document["paths"].items():
            for operation in item.values():
                _add_errors(path, operation)
        document.get("components", {}).get("schemas", {}).pop("HTTPValidationError", None)
        document.get("components", {}).get("schemas", {}).pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _add_errors(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if path in OPENLY:
        return
    errors: list[type[ServiceError]] = [TooManyRequests, Unavailable, Invalid, TooLarge]
    if operation.get("security"):
        errors += [Unauthorised, Forbidden]
    if path.startswith("/v1/"):
        _as_openai(responses, [*errors, NotFound])
        return
    for status, entry in documented(*errors).items():
        known = responses.get(str(status))
        if known is None or "application/problem+json" not in known.get("content", {}):
            responses[str(status)] = entry


def _as_openai(responses: dict[str, Any], errors: list[type[ServiceError]]) -> None:
    """Under /v1 every error is OpenAI's object, and what is not valid is a 400."""
    for status, entry in documented(*errors).items():
        number = 400 if status == 422 else status
        content = {"application/json": {"schema": OPENAI_ERROR}}
        responses[str(number)] = {"description": entry["description"], "content": content}
    responses.pop("422", None)
