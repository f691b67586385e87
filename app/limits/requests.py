"""What a request spends, and where its answer and other slices read how the caller stands."""

from collections.abc import Mapping
from typing import Annotated, cast

from fastapi import Depends, Request

from app.limits.addresses import address_of
from app.limits.buckets import Claim, Standing
from app.limits.classes import class_of
from app.limits.limiter import Limiter, RateLimitExceeded
from config.limits import Holder
from config.profile import Profile


class RequestLimits:
    """The limits of one application, asked by its dependencies."""

    def __init__(self, limiter: Limiter, profile: Profile) -> None:
        self.limiter = limiter
        self._rates = profile.limits
        self._hops = profile.http.forwarded_hops

    def address(self, request: Request) -> str:
        return address_of(request.scope, self._hops)

    async def spend(self, request: Request, holders: Mapping[Holder, str]) -> None:
        """Charge this request to its address and to `holders`; `RateLimitExceeded` where one is out."""
        kind = class_of(request.method, request.url.path)
        claims = [
            Claim(f"{holder}-{kind.replace('_', '-')}", who, self._rates.rate(holder, kind))
            for holder, who in {"address": self.address(request), **holders}.items()
        ]
        await self._charge(request, claims)

    async def spend_refusal(self, request: Request) -> None:
        """Charge a token or key that is refused to its address: guessing has a price, knowing has none."""
        await self._charge(request, [Claim("refused", self.address(request), self._rates.refused)])

    async def _charge(self, request: Request, claims: list[Claim]) -> None:
        try:
            request.state.rate_limit = await self.limiter.spend(claims)
        except RateLimitExceeded as error:
            request.state.rate_limit = error.standing
            raise


async def request_limits(request: Request) -> RequestLimits:
    return cast(RequestLimits, request.app.state.limits)


CurrentLimits = Annotated[RequestLimits, Depends(request_limits)]


async def limited_by_address(request: Request, limits: CurrentLimits) -> None:
    """For endpoints that anybody may call."""
    await limits.spend(request, {})


def rate_limit(request: Request) -> Standing | None:
    """How the caller's tightest bucket stands after this request; `None` where the request has no limit."""
    return getattr(request.state, "rate_limit", None)
