"""Which providers answer chats, what they cost, and which routes lead to them.

A profile has one; `/api/v1/admin/providers` replaces it while the service runs. What is not safe is refused
here, before it is active: keys never stand in it, only the names of the variables that hold them, and those
only of a form that no other secret of the service has.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

KEY_VARIABLE = r"^[A-Z][A-Z0-9_]{0,100}_API_(KEY|TOKEN)$"
ADDRESS_VARIABLE = r"^[A-Z][A-Z0-9_]{0,100}_(ENDPOINT|BASE_URL)$"
RESERVED = frozenset({"routes", "versions", "eservice-assistant"})
"""Names with another meaning on the wire."""


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an address begins with https://, or on the local machine with http://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address has no user, password, query or fragment: keys come from api_key_env")
    return url


def _name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name) or name in RESERVED:
        raise ValueError(
            f"{name!r} is no name: letters, digits, '.', '_', '-', and none of {sorted(RESERVED)}"
        )
    return name


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]


class Provider(Settings):
    """One place an answer can come from. Keys come from `api_key_env` in the environment, never from here."""

    name: Name
    kind: Literal["self_hosted", "openai_compatible", "azure_openai", "anthropic"]
    model: str = Field(
        min_length=1, max_length=200, description="what /v1/models calls it, and the provider itself"
    )
    enabled: bool = True
    base_url: Address | None = None
    base_url_env: str | None = Field(
        None, pattern=ADDRESS_VARIABLE, description="where the environment has the address instead"
    )
    api_key_env: str | None = Field(None, pattern=KEY_VARIABLE)
    deployment: str | None = Field(None, description="Azure's name for the model, if it is another one")
    api_version: str | None = Field(None, description="of Azure's API")
    continues: bool = Field(False, description="goes on from where a last message of the assistant ends")
    masks_personal_data: bool = Field(
        True, description="addresses, numbers and cards are replaced before a hosted provider sees them"
    )
    context_tokens: int = Field(gt=0)
    characters_per_token: float = Field(
        3.5, gt=0, le=20, description="to estimate by, where the model's tokenizer is not at hand"
    )
    prompt_usd_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)
    completion_usd_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        addresses = (self.base_url is not None) + (self.base_url_env is not None)
        if self.kind == "self_hosted" and (addresses or self.api_key_env):
            raise ValueError("a self-hosted model has neither address nor key")
        if self.kind in {"openai_compatible", "azure_openai"} and addresses != 1:
            raise ValueError("name its address: either base_url or base_url_env")
        if self.kind in {"azure_openai", "anthropic"} and self.api_key_env is None:
            raise ValueError("name the variable with its key: api_key_env")
        return self

    @property
    def is_hosted(self) -> bool:
        """Whether what is asked leaves the cluster."""
        return self.kind != "self_hosted"

    @property
    def connection(self) -> tuple[str | None, ...]:
        """What has to stay the same for its connections, slots and breaker to be kept."""
        return (
            self.name,
            self.kind,
            self.model,
            self.base_url,
            self.base_url_env,
            self.api_key_env,
            self.deployment,
            self.api_version,
        )


class RouteSettings(Settings):
    """A chain of providers under a name of its own, which callers may use like a model's."""

    name: Name
    providers: tuple[str, ...] = Field(min_length=1, description="names of providers, first to last")
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        (), description="one a provider: how often it is asked first; 0 comes last; none: always in order"
    )

    @model_validator(mode="after")
    def _weighs_each(self) -> Self:
        if self.weights and len(self.weights) != len(self.providers):
            raise ValueError(f"route {self.name}: as many weights as providers, or none")
        if len(set(self.providers)) < len(self.providers):
            raise ValueError(f"route {self.name}: names a provider twice")
        return self


class Lineup(Settings):
    providers: tuple[Provider, ...]
    routes: tuple[RouteSettings, ...] = Field((), description="the assistant answers by the first")

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        names = {provider.name for provider in self.providers}
        if len(names) < len(self.providers):
            raise ValueError("two providers have the same name")
        if len({route.name for route in self.routes}) < len(self.routes):
            raise ValueError("two routes have the same name")
        for route in self.routes:
            if unknown := set(route.providers) - names:
                raise ValueError(f"route {route.name}: no provider {', '.join(sorted(unknown))}")
        return self

    @property
    def in_the_clear(self) -> list[str]:
        """The providers whose address is plain HTTP: only for the local profile."""
        return [p.name for p in self.providers if p.base_url and is_plain(p.base_url)]


def is_plain(url: str) -> bool:
    return urlsplit(url).scheme != "https"
