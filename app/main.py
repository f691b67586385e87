"""The HTTP application: every slice's routes, the middleware around them, one state for all requests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import document, health, problems
from app.admin import audit, jobs
from app.analytics import endpoints as analytics
from app.answers import endpoints as answers
from app.auth import endpoints as auth
from app.auth import key_endpoints as api_keys
from app.auth import oidc_endpoints as oidc
from app.auth.oidc import OpenIdProvider
from app.auth.passwords import Passwords
from app.auth.service import Sessions
from app.auth.tokens import AccessTokens
from app.budgets import endpoints as budgets
from app.cases import endpoints as cases
from app.chat import endpoints as chat
from app.hardening import NestingLimit, SecurityHeaders
from app.knowledge import endpoints as knowledge
from app.knowledge import index_endpoints, reranker_endpoints, upload_endpoints, uploads
from app.limits.addresses import address_of
from app.limits.headers import RateLimitHeaders
from app.limits.limiter import Limiter
from app.limits.requests import RequestLimits
from app.live import endpoints as live
from app.llm import endpoints as llm
from app.middleware import Admission, BodyLimit, LastResort, RequestId
from app.privacy import endpoints as privacy
from app.providers import endpoints as providers
from app.routing import endpoints as routing
from app.sla import endpoints as sla
from app.state import State
from app.telemetry import Telemetry
from app.tickets import endpoints as tickets
from app.triage import endpoints as triage
from app.webhooks import endpoints as webhooks
from config import safety
from config.environment import Environment
from config.keyring import Keyring
from config.profile import Http, OidcSettings, Profile

FORM_BYTES = 16 << 10
"""What a form puts around the file in it."""

SLICES = (
    llm,  # first: routes are tried in order, 2 µs each, and /v1 is what is asked most
    health,
    auth,
    oidc,
    api_keys,
    privacy,
    chat,
    cases,
    tickets,
    live,
    jobs,
    audit,
    sla,
    routing,
    triage,
    knowledge,
    index_endpoints,
    reranker_endpoints,
    upload_endpoints,
    providers,
    budgets,
    webhooks,
    answers,
    analytics,
)


def create_app(profile: Profile, open_state: Callable[[], Awaitable[State]]) -> FastAPI:
    """The application; `open_state` is called when it starts, on the loop that it will run on."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = await open_state()
        safety.check(profile, state.environment)
        furnish(app, state, safety.signing_keys(state.environment))
        yield
        if app.state.oidc:
            await app.state.oidc.close()
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
    for slice_ in SLICES:
        app.include_router(slice_.router)
    problems.install(app)
    document.complete(app)
    surround(app, profile)
    app.add_middleware(Telemetry)
    return app


def surround(app: FastAPI, profile: Profile) -> None:
    """Every layer around the routes but the one that watches; the last is the outermost."""
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(NestingLimit)
    app.add_middleware(
        BodyLimit,
        limit=profile.http.max_body_bytes,
        others={upload_endpoints.router.prefix: uploads.LIMITS.size + FORM_BYTES},
    )
    app.add_middleware(Admission, limit=profile.http.max_concurrent)
    if profile.http.cors_origins:
        _open_to(app, profile.http)
    app.add_middleware(LastResort)
    app.add_middleware(SecurityHeaders, https=not profile.is_local)
    app.add_middleware(RequestId, address=partial(address_of, forwarded_hops=profile.http.forwarded_hops))


def _open_to(app: FastAPI, http: Http) -> None:
    """Browsers on these origins may call; there is no cookie to send along unless the profile says so."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=http.cors_origins,
        allow_credentials=http.cors_credentials,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
        max_age=600,
    )


def furnish(app: FastAPI, state: State, keys: Keyring) -> None:
    """Hang on the application what its dependencies look for."""
    settings = state.profile.auth
    limiter = Limiter(state.redis)
    app.state.eservice = state
    app.state.limits = RequestLimits(limiter, state.profile)
    app.state.sessions = Sessions(
        state.pool,
        AccessTokens(keys, settings.access_ttl_s),
        Passwords(),
        limiter,
        refresh_ttl_s=settings.refresh_ttl_s,
        failures=state.profile.limits.failed_sign_in,
    )
    app.state.oidc = _provider(settings.oidc, state.environment) if settings.oidc else None


def _provider(settings: OidcSettings, environment: Environment) -> OpenIdProvider:
    name = settings.client_secret_env
    return OpenIdProvider(settings, environment.api_key(name) if name else None)
