"""What is not safe to run, and why. The local profile trusts its machine; elsewhere nothing is assumed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

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
SIGNING, SEALING = "ESERVICE_SECRET_KEY", "ESERVICE_KEY_ENCRYPTION_KEY"


class InsecureConfiguration(ValueError):
    """The application would not be safe to run like this."""


def check(profile: Profile, environment: Environment) -> None:
    """Raises `InsecureConfiguration`, which names everything that is wrong, each with what to do."""
    signing = _Given(SIGNING, environment.secret_key, environment.secret_key_file)
    sealing = _Given(SEALING, environment.key_encryption_key, environment.key_encryption_key_file)
    problems = [*signing.problems(), *sealing.problems(needed=not profile.is_local)]
    if not profile.is_local:
        problems += [*signing.weak(), *sealing.weak(), *_profile(profile), *_providers(profile, environment)]
        if set(signing.secrets) & set(sealing.secrets):
            problems.append(f"{SEALING} is {SIGNING}: who learns one must not have both; {MAKE_ONE}")
    if problems:
        lines = "".join(f"\n- {problem}" for problem in problems)
        raise InsecureConfiguration(f"profile {profile.name!r} cannot be run safely:{lines}")


def signing_keys(environment: Environment) -> Keyring:
    """Of ESERVICE_SECRET_KEY_FILE, else of ESERVICE_SECRET_KEY: newest first, between commas."""
    if environment.secret_key_file:
        return FileKeys(environment.secret_key_file)
    environment.require_secret_key()
    return FixedKeys.of(*_Given(SIGNING, environment.secret_key, None).secrets)


def key_encryption_keys(environment: Environment) -> Keyring:
    """As `signing_keys`, by ESERVICE_KEY_ENCRYPTION_KEY; without either those of the home's embedded stores.

    Nothing is made here: a process that sealed by a key of its own would lose it with its disk.
    """
    if environment.key_encryption_key_file:
        return FileKeys(environment.key_encryption_key_file)
    given = _Given(SEALING, environment.key_encryption_key, None).secrets
    if given:
        return FixedKeys.of(*given)
    if environment.home_keys.exists():
        return FileKeys(environment.home_keys)
    raise MissingSetting(f"{SEALING} and {SEALING}_FILE are not set; {MAKE_ONE}")


@dataclass(frozen=True, slots=True)
class _Given:
    """A secret as the environment has it: itself, older ones behind it, or a file with versions."""

    name: str
    value: SecretStr | None
    file: Path | None

    @property
    def secrets(self) -> list[str]:
        if self.file or self.value is None:
            return []
        return [part.strip() for part in self.value.get_secret_value().split(",")]

    def problems(self, *, needed: bool = True) -> Iterator[str]:
        if self.file:
            try:
                keyring.read(self.file)
            except UnusableKeys as error:
                yield f"{self.name}_FILE: {error}"
        elif needed and not self.secrets:
            yield f"{self.name} is not set; {MAKE_ONE}"
        elif any(len(secret.encode()) < MIN_BYTES for secret in self.secrets):
            yield f"{self.name} must have at least {MIN_BYTES} characters; {MAKE_ONE}"

    def weak(self) -> Iterator[str]:
        for secret in self.secrets:
            words = [word for word in PLACEHOLDERS if word in secret.lower()]
            if words or len(set(secret)) < LEAST_DISTINCT:
                why = f"contains {words[0]!r}" if words else f"has {len(set(secret))} different characters"
                yield f"{self.name} looks like a default ({why}); {MAKE_ONE}"


def _profile(profile: Profile) -> Iterator[str]:
    if profile.auth.demo_users:
        yield "auth.demo_users is on: demo users are for the local profile"
    if profile.webhooks.allow_loopback:
        yield "webhooks.allow_loopback is on: administrators' webhooks could reach services of this machine"
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
