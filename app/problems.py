"""Errors on the wire: RFC 9457 problem+json, and OpenAI's error object under /v1."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.errors import Invalid, ServiceError

log = structlog.get_logger(__name__)

OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}


UNSTORABLE = frozenset(
    {
        asyncpg.DataError,  # itself: asyncpg refuses the argument before PostgreSQL sees it
        asyncpg.CharacterNotInRepertoireError,
        asyncpg.UntranslatableCharacterError,
        asyncpg.NumericValueOutOfRangeError,
    }
)


class Unstorable(Invalid):
    """A value is out of range: a number too large, or a character that no text may have."""


def render(error: ServiceError, scope: Scope) -> JSONResponse:
    """`error` as its caller expects it: under /v1 as OpenAI would say it, elsewhere as a problem."""
    if scope["path"].startswith("/v1/"):
        status = 400 if error.status == 422 else error.status
        return JSONResponse(openai_error(error), status, headers=dict(error.headers))
    problem = {
        "type": f"urn:eservice:{error.kind}",
        "title": error.kind.replace("-", " ").capitalize(),
        "status": error.status,
        "detail": error.detail,
        "instance": scope["path"],
        **error.extra,
    }
    return JSONResponse(problem, error.status, dict(error.headers), "application/problem+json")


def openai_error(error: ServiceError) -> dict[str, Any]:
    status = 400 if error.status == 422 else error.status
    kind = OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {
        "error": {
            "message": error.detail,
            "type": kind,
            "param": error.extra.get("param"),
            "code": error.kind.replace("-", "_"),
        }
    }


def install(app: FastAPI) -> None:
    """Let every error, also FastAPI's own, leave through `render`."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(asyncpg.DataError, _data_error)


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)  # noqa: S101
    if error.status >= 500:
        log.warning("unavailable", error=error.kind, detail=error.detail, path=request.url.path)
    return render(error, request.scope)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [{"field": _field(item["loc"]), "message": item["msg"]} for item in error.errors()]
    first = f"{problems[0]['field']}: {problems[0]['message']}" if problems else "the body is not valid"
    return render(Invalid(first, errors=problems, param=problems[0]["field"] or None), request.scope)


def _field(location: Sequence[str | int]) -> str:
    """Where in the request: `tags.0` in the body, `query.limit` elsewhere."""
    parts = location[1:] if location[0] == "body" else location
    return ".".join(map(str, parts)).encode(errors="backslashreplace").decode()  # a name may be no text


async def _data_error(request: Request, error: Exception) -> JSONResponse:
    """What passed our schemas and PostgreSQL cannot hold; any other of its data errors is a bug of ours."""
    if type(error) not in UNSTORABLE:
        raise error
    return render(Unstorable(), request.scope)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, ServiceError):  # FastAPI hides what reading the body raised
        return render(error.__cause__, request.scope)
    if error.status_code == 400 and error.__cause__:  # JSON that is not UTF-8, or too deep
        return render(Invalid("body: cannot be read as JSON"), request.scope)
    plain = ServiceError(str(error.detail))
    plain.status = error.status_code
    plain.headers = error.headers or {}
    return render(plain, request.scope)
