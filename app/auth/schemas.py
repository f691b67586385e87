"""Who is asking, and what signing in answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field

Role: TypeAlias = Literal["customer", "agent", "supervisor", "admin"]
STAFF: frozenset[Role] = frozenset({"agent", "supervisor", "admin"})


@dataclass(frozen=True, slots=True)
class Identity:
    """The person behind a request, as their access token says."""

    id: UUID
    email: str
    name: str
    role: Role

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


class UserOut(BaseModel):
    id: UUID
    email: str
    name: str
    role: Role
    active: bool
    created_at: datetime


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
