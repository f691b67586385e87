"""Who is asking, and what signing in answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.auth.scopes import Scope
from app.moments import Moment

Role: TypeAlias = Literal["customer", "agent", "supervisor", "admin"]
STAFF: frozenset[Role] = frozenset({"agent", "supervisor", "admin"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The person behind a request, and the API key they use, if it is one."""

    id: UUID
    email: str | None
    name: str | None
    """Both lie sealed, and are opened where somebody signs in; with a request they do not come."""
    role: Role
    key_id: UUID | None = None
    scopes: frozenset[str] | None = None
    """Of the key; `None` stands for everything the role may do."""

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    email: str
    name: str
    role: Role
    password_hash: str | None
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """What of a user is nobody's secret."""

    id: UUID
    role: Role
    active: bool


class UserOut(BaseModel):
    id: UUID
    email: str
    name: str
    role: Role
    active: bool
    created_at: datetime


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Password = Annotated[SecretStr, Field(min_length=12, max_length=200)]
EMAIL = r"^[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]{1,189}$"


class Request(BaseModel):
    """Nothing unknown is taken: a misspelt field would silently change nothing."""

    model_config = ConfigDict(extra="forbid")


class UserDraft(Request):
    """Without a password they can sign in by OpenID Connect only."""

    email: Annotated[str, Field(max_length=254, pattern=EMAIL)]
    name: Name
    role: Role = "customer"
    password: Password | None = None


class UserPatch(Request):
    """What is null stays."""

    name: Name | None = None
    role: Role | None = None
    active: bool | None = None
    password: Password | None = None


class PasswordChange(Request):
    current: Annotated[SecretStr, Field(max_length=200)]
    new: Password


class ApiKeyDraft(Request):
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]
    expires_at: Moment | None = Field(None, description="null: it lasts until it is revoked")


class ApiKey(BaseModel):
    id: UUID
    user_id: UUID
    name: str
    prefix: str = Field(description="how the key begins, to tell it from others")
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")
    revoked_at: datetime | None
    created_at: datetime


class ApiKeyMade(ApiKey):
    key: str = Field(description="the key itself; no other answer shows it")


class ApiKeys(BaseModel):
    items: list[ApiKey]
    next_cursor: str | None = None


class Users(BaseModel):
    items: list[UserOut]
    next_cursor: str | None = None


class Team(BaseModel):
    """Whom an article with `visibility: teams` may be for."""

    team: str
    members: list[UUID]


class Teams(BaseModel):
    items: list[Team]
    next_cursor: None = None


class TeamMembers(BaseModel):
    members: list[UUID] = Field(max_length=10_000, description="users; nobody: the team is gone")


class TokenPair(BaseModel):
    """What OAuth2 calls an access token response."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int = Field(description="seconds until the access token ends")


class RefreshRequest(BaseModel):
    refresh_token: str = Field(min_length=1, max_length=200)
