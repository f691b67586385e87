"""Signing in at an OpenID provider: authorisation code with PKCE (RFC 7636), ID tokens checked by JWKS.

What it does not do: keep the provider's tokens. Whoever signs in gets a login of ours.
"""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from app.errors import Unauthorised, Unavailable
from config.profile import OidcSettings

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Asymmetric ones only: with HS256 a public key would do as the secret."""

LOOK_AGAIN_S = 10.0
"""An unknown key id makes us read the keys again, but not more often than this."""


class ProviderDown(Unavailable):
    """The sign-in provider did not answer as it should; try again soon."""


class SignInRefused(Unauthorised):
    """The sign-in provider's answer cannot be accepted; start again at /api/v1/auth/oidc."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What ties the provider's answer to the browser that asked."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Attempt":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Subject:
    """Who the provider says it is."""

    issuer: str
    subject: str
    email: str | None
    """Only where the provider has verified it."""
    name: str


class OpenIdProvider:
    """One provider. Its metadata and keys are kept for `keys_ttl_s`; every call has a deadline."""

    def __init__(self, settings: OidcSettings, client_secret: str | None) -> None:
        self.settings = settings
        self._secret = client_secret
        self._http = httpx.AsyncClient(timeout=settings.timeout_s, follow_redirects=False)
        self._metadata: dict[str, Any] = {}
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")

    async def close(self) -> None:
        await self._http.aclose()

    async def authorisation_url(self, attempt: Attempt) -> str:
        """Where the browser goes."""
        await self._refresh(self.settings.keys_ttl_s)
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._metadata['authorization_endpoint']}?{urlencode(query)}"

    async def redeem(self, code: str, attempt: Attempt) -> Subject:
        """Who signed in, for the code the browser brought back."""
        await self._refresh(self.settings.keys_ttl_s)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": attempt.verifier,
        }
        if self._secret:
            form["client_secret"] = self._secret
        try:
            answer = await self._http.post(self._metadata["token_endpoint"], data=form)
        except httpx.HTTPError as error:
            raise ProviderDown from error
        if answer.status_code >= 500:
            raise ProviderDown
        if answer.status_code != 200:
            raise SignInRefused
        try:
            token = str(answer.json()["id_token"])
        except (ValueError, KeyError, TypeError) as error:
            raise SignInRefused from error
        return await self._subject(token, attempt.nonce)

    async def _subject(self, token: str, nonce: str) -> Subject:
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                ALGORITHMS,
                issuer=self.settings.issuer,
                audience=self.settings.client_id,
                leeway=30,
                options={"require": ["exp", "iat", "sub", "nonce"]},
            )
        except jwt.InvalidTokenError as error:
            raise SignInRefused from error
        if not secrets.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise SignInRefused
        if claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise SignInRefused
        email = str(claims["email"]).lower() if claims.get("email_verified") is True else None
        name = str(claims.get("name") or email or claims["sub"])[:200]
        return Subject(self.settings.issuer, str(claims["sub"]), email, name)

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            await self._refresh(LOOK_AGAIN_S)
        if kid not in self._keys:
            raise SignInRefused
        return self._keys[kid]

    async def _refresh(self, older_than_s: float) -> None:
        if time.monotonic() - self._read_at < older_than_s:
            return
        issuer = self.settings.issuer.rstrip("/")
        metadata = await self._get(f"{issuer}/.well-known/openid-configuration")
        if metadata.get("issuer") != self.settings.issuer:
            raise ProviderDown("The sign-in provider calls itself by another name than it is configured by.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(str(metadata.get(name))):
                raise ProviderDown(f"The sign-in provider's {name} is not an https address.")
        keys = (await self._get(str(metadata["jwks_uri"]))).get("keys", [])
        self._metadata, self._keys = metadata, _usable(keys)
        self._read_at = time.monotonic()

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._http.get(url)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderDown from error
        if not isinstance(found, dict):
            raise ProviderDown
        return found


def _usable(keys: object) -> dict[str, jwt.PyJWK]:
    """Keys of kinds we know, by their ids; others are somebody else's business."""
    found = {}
    for entry in keys if isinstance(keys, list) else []:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, TypeError, AttributeError):
            continue
        if key.key_id and key.algorithm_name in ALGORITHMS:
            found[key.key_id] = key
    return found


def _is_safe(url: str) -> bool:
    """https, or a loopback address as in a test."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    )
