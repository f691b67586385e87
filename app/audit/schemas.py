"""What is asked of the audit, and what it says."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from app.moments import Moment

Action: TypeAlias = Literal["created", "changed", "deleted", "emptied", "read", "dropped"]


class Filters(BaseModel):
    """What is null does not matter."""

    model_config = ConfigDict(frozen=True)

    actor: str | None = Field(
        None, max_length=200, description="`user:` and an id, `system:…`, `anonymous`, …"
    )
    object: str | None = Field(None, max_length=63, description="a table: `tickets`, `users`, …")
    object_id: str | None = Field(None, max_length=400)
    action: Action | None = None
    cause: str | None = Field(None, max_length=200, description="`request:` and its X-Request-ID, or `job:…`")
    since: Moment | None = None
    until: Moment | None = Field(None, description="before this moment")


class Change(BaseModel):
    """One column. `{"withheld": true}` stands for a text that was not sealed: it is never copied here.

    `{"sealed": true}` stands for a sealed one that was not opened.
    """

    before: JsonValue
    after: JsonValue


class AuditEntry(BaseModel):
    id: int
    position: int | None = Field(description="its place in the chain; null until it is sealed")
    hash: str | None = Field(description="SHA-256 over the entry and the hash before it")
    occurred_at: datetime
    sealed_at: datetime | None
    actor: str = Field(
        description="`user:` and an id, `anonymous`, `system:` and a kind of job, `command:` and its module, "
        "`database:` and a role: somebody changed rows by hand"
    )
    api_key: str | None = Field(description="the id of the key that was used, if it was one")
    address: str | None = Field(description="of the caller, as far as it can be believed; of IPv6 the /64")
    cause: str | None = Field(description="`request:` and its X-Request-ID, or `job:` and its id")
    action: Action
    object: str = Field(description="the table")
    object_id: str = Field(description="the row; where its key has several columns, parted by `/`")
    change: dict[str, Change]


class AuditEntries(BaseModel):
    items: list[AuditEntry]
    next_cursor: str | None = None


class ChainHead(BaseModel):
    """The end of the chain now. Kept elsewhere, it shows later whether anything before it was changed."""

    anchor: str = Field(description="one word for `audit verify --anchor`")
    position: int
    hash: str
    sealed_at: datetime
    unsealed: int
    oldest_unsealed_s: float
