"""What `/api/v1/admin/providers` takes and answers."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.lineup import Provider, RouteSettings


class ProviderPatch(BaseModel):
    """The fields of a provider to change; those not given stay."""

    model_config = ConfigDict(extra="allow")

    def onto(self, provider: Provider) -> dict[str, Any]:
        return provider.model_dump() | (self.model_extra or {})


class ProviderState(BaseModel):
    """As the replica that answers this request sees it."""

    left_out: str | None = Field(None, description="why it is not asked: disabled, or what is missing")
    up: bool = False
    circuit: Literal["closed", "open", "half_open"] | None = None
    recent_calls: int = Field(0, description="in the breaker's window")
    recent_failures: int = 0
    in_use: int = Field(0, description="answers under way")
    waiting: int = Field(0, description="callers who wait for a slot")


class ProviderOut(Provider):
    key_is_set: bool | None = Field(None, description="whether `api_key_env` has a value; null: none needed")
    routes: tuple[str, ...] = Field((), description="the routes that it is part of")
    state: ProviderState


class Providers(BaseModel):
    version: int = Field(description="the newest; 0 is the profile's own")
    version_here: int = Field(description="what the replica that answers this request has taken up")
    items: list[ProviderOut]
    routes: list[RouteSettings]
    next_cursor: str | None = None


class Changed(BaseModel):
    """Every replica takes it up within two seconds; answers under way end as they began."""

    version: int


class Version(BaseModel):
    version: int
    note: str
    made_by: str | None = Field(description="the administrator's address")
    made_at: datetime
    lineup: dict[str, Any]


class Versions(BaseModel):
    items: list[Version]
    next_cursor: str | None = None
