"""The HTTP application: every slice's routes, the middleware around them, one state for all requests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import health, problems
from app.admin import jobs
from app.answers import endpoints as answers
from app.auth import endpoints as auth
from app.auth.passwords import Passwords
from app.auth.service import Sessions
from app.auth.tokens import AccessTokens
from app.budgets import endpoints as budgets
from app.chat import endpoints as chat
from app.knowledge import endpoints as knowledge
from app.knowledge import index_endpoints, upload_endpoints, uploads
from app.limits.headers import RateLimitHeaders
from app.limits.limiter import Limiter
from app.limits.requests import RequestLimits
from app.live import endpoints as live
from app.llm import endpoints as llm
from app.middleware import Admission, BodyLimit, LastResort, RequestId
from app.providers import endpoints as providers
from app.routing import endpoints as routing
from app.sla import endpoints as sla
from app.state import State
from app.telemetry import Telemetry
from app.tickets import endpoints as tickets
from app.triage import endpoints as triage
from config.environment import Environment
from config.profile import Profile

MIN_SECRET = 32
"""Bytes: an HS256 key shorter than its hash weakens it (RFC 7518, section 3.2)."""


FORM_BYTES = 16 << 10
"""What a form puts around the file in it."""


class InsecureConfiguration(ValueError):
    """The application would not be safe to run like this."""


def create_app(profile: Profile, open_state: Callable[[], Awaitable[State]]) -> FastAPI:
    """The application; `open_state` is called when it starts, on the loop that it will run on."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = await open_state()
        furnish(app, state, AccessTokens(signing_secrets(state.environment), profile.auth.access_ttl_s))
        yield
        await state.close()

    app = FastAPI(
        title="eService",
        version="0.1.0",
        description="An AI service desk: cited answers, routed tickets, an OpenAI-compatible surface.",
        lifespan=lifespan,
        docs_url="/docs" if profile.http.docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if profile.http.docs else None,
    )
    slices = (
        health,
        auth,
        chat,
        tickets,
        live,
        jobs,
        sla,
        routing,
        triage,
        knowledge,
        llm,
        providers,
        budgets,
        answers,
    )
    for slice_ in slices:
        app.include_router(slice_.router)
    for part in (index_endpoints, upload_endpoints):
        app.include_router(part.router)
    problems.install(app)
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(
        BodyLimit,
        limit=profile.http.max_body_bytes,
        others={upload_endpoints.router.prefix: uploads.LIMITS.size + FORM_BYTES},
    )
    app.add_middleware(Admission, limit=profile.http.max_concurrent)
    if profile.http.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=profile.http.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(LastResort)
    app.add_middleware(RequestId)
    app.add_middleware(Telemetry)
    return app


def furnish(app: FastAPI, state: State, tokens: AccessTokens) -> None:
    """Hang on the application what its dependencies look for."""
    app.state.eservice = state
    app.state.sessions = Sessions(state.pool, tokens, Passwords(), state.profile.auth.refresh_ttl_s)
    app.state.limits = RequestLimits(Limiter(state.redis), state.profile)


def signing_secrets(environment: Environment) -> list[str]:
    """`ESERVICE_SECRET_KEY`, newest first where several stand between commas."""
    secrets = [part.strip() for part in environment.require_secret_key().split(",")]
    if any(len(secret) < MIN_SECRET for secret in secrets):
        raise InsecureConfiguration(f"ESERVICE_SECRET_KEY must have at least {MIN_SECRET} characters")
    return secrets
