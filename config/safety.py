"""What is not safe to run, and why. The local profile trusts its machine; elsewhere nothing is assumed."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from config import keyring
from config.environment import Environment, MissingSetting
from config.keyring import MIN_BYTES, FileKeys, FixedKeys, Keyring, UnusableKeys
from config.lineup import Provider
from config.profile import Profile

LEAST_DISTINCT = 12
"""Characters: a random key of 32 has more; a word written often enough to be long has not."""

PLACEHOLDERS = ("change", "secret", "default", "example", "password", "eservice")
MAKE_ONE = "`openssl rand -base64 48` makes one"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class InsecureConfiguration(ValueError):
    """The application would not be safe to run like this."""


def check(profile: Profile, environment: Environment) -> None:
    """Raises `InsecureConfiguration`, which names everything that is wrong, each with what to do."""
    problems = list(_secrets(environment))
    if not profile.is_local:
        problems += [*_weak(environment), *_profile(profile), *_providers(profile, environment)]
    if problems:
        lines = "".join(f"\n- {problem}" for problem in problems)
        raise InsecureConfiguration(f"profile {profile.name!r} cannot be run safely:{lines}")


def signing_keys(environment: Environment) -> Keyring:
    """Of ESERVICE_SECRET_KEY_FILE, else of ESERVICE_SECRET_KEY: newest first, between commas."""
    if environment.secret_key_file:
        return FileKeys(environment.secret_key_file)
    return FixedKeys.of(*_secret_list(environment))


def _secret_list(environment: Environment) -> list[str]:
    return [part.strip() for part in environment.require_secret_key().split(",")]


def _secrets(environment: Environment) -> Iterator[str]:
    if environment.secret_key_file:
        try:
            keyring.read(environment.secret_key_file)
        except UnusableKeys as error:
            yield f"ESERVICE_SECRET_KEY_FILE: {error}"
        return
    try:
        secrets = _secret_list(environment)
    except MissingSetting as error:
        yield f"{error}; {MAKE_ONE}"
        return
    if any(len(secret.encode()) < MIN_BYTES for secret in secrets):
        yield f"ESERVICE_SECRET_KEY must have at least {MIN_BYTES} characters; {MAKE_ONE}"


def _weak(environment: Environment) -> Iterator[str]:
    secrets = [] if environment.secret_key_file or not environment.secret_key else _secret_list(environment)
    for secret in secrets:
        words = [word for word in PLACEHOLDERS if word in secret.lower()]
        if words or len(set(secret)) < LEAST_DISTINCT:
            why = f"contains {words[0]!r}" if words else f"has {len(set(secret))} different characters"
            yield f"ESERVICE_SECRET_KEY looks like a default ({why}); {MAKE_ONE}"


def _profile(profile: Profile) -> Iterator[str]:
    if profile.auth.demo_users:
        yield "auth.demo_users is on: demo users are for the local profile"
    if profile.http.cors_credentials and "*" in profile.http.cors_origins:
        yield "http.cors_origins is '*' with http.cors_credentials on: name the origins that may send them"
    for origin in profile.http.cors_origins:
        if origin != "*" and not _is_private(origin):
            yield f"http.cors_origins: {origin} is plain HTTP; anybody on the way can speak for it: use https"
    if profile.auth.oidc and not _is_private(profile.auth.oidc.issuer):
        yield f"auth.oidc.issuer: {profile.auth.oidc.issuer} is not https"


def _providers(profile: Profile, environment: Environment) -> Iterator[str]:
    for provider in profile.llm.providers:
        url = _address(provider, environment)
        if provider.kind != "self_hosted" and url and not _is_private(url):
            yield f"llm provider {provider.name!r}: {url} is plain HTTP, readable on the way: use https"


def _address(provider: Provider, environment: Environment) -> str | None:
    return environment.address(provider.base_url_env) if provider.base_url_env else provider.base_url


def _is_private(url: str) -> bool:
    """Whether what goes there cannot be read on the way: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
