"""A small real OpenID provider: discovery, authorisation with PKCE, tokens signed with RSA."""

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Form, Response
from fastapi.responses import JSONResponse, RedirectResponse
from jwt.algorithms import RSAAlgorithm

CLIENT = "eservice"
ANN = {"sub": "u1", "email": "Ann@Example.com", "email_verified": True, "name": "Ann"}


@dataclass
class OpenId:
    """What it answers can be bent, to see whether that is noticed."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: dict(ANN))
    overrides: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    down: bool = False
    key_reads: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = f"k{time.monotonic_ns()}"

    def jwks(self) -> dict[str, Any]:
        self.key_reads += 1
        jwk = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**jwk, "kid": self.kid, "alg": "RS256", "use": "sig"}, {"kty": "strange"}]}

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= self.claims | self.overrides
        if self.algorithm == "none":
            return jwt.encode(claims, None, "none", headers={"kid": self.kid})
        if self.algorithm == "HS256":  # the public key as a secret, the oldest trick there is
            return jwt.encode(claims, self.kid.encode() * 4, "HS256", headers={"kid": self.kid})
        return jwt.encode(claims, self.key, "RS256", headers={"kid": self.kid})


def application(provider: OpenId) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    async def metadata() -> Response:
        if provider.down:
            return Response(status_code=503)
        return JSONResponse(
            {
                "issuer": provider.issuer,
                "authorization_endpoint": f"{provider.issuer}/authorize",
                "token_endpoint": f"{provider.issuer}/token",
                "jwks_uri": f"{provider.issuer}/jwks",
            }
        )

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        return provider.jwks()

    @app.get("/authorize")
    async def authorise(
        state: str, nonce: str, code_challenge: str, redirect_uri: str, client_id: str
    ) -> Response:
        assert client_id == CLIENT
        code = f"code{len(provider.codes)}"
        provider.codes[code] = {"nonce": nonce, "challenge": code_challenge}
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': state})}", 302)

    @app.post("/token")
    async def token(
        code: str = Form(), code_verifier: str = Form(), client_secret: str = Form("")
    ) -> Response:
        known = provider.codes.pop(code, None)  # once
        digest = hashlib.sha256(code_verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if known is None or known["challenge"] != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "x", "id_token": provider.id_token(known["nonce"])})

    return app
