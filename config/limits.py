"""How many requests a user, an API key and an address may send."""

from typing import Literal, TypeAlias

from pydantic import Field

from config.lineup import Settings

RequestClass: TypeAlias = Literal["reading", "writing", "inference", "signing_in"]
Holder: TypeAlias = Literal["user", "key", "address"]


class Rate(Settings):
    """A token bucket: `burst` requests at once, `per_minute` in the long run."""

    burst: int = Field(gt=0)
    per_minute: float = Field(gt=0)

    @property
    def per_second(self) -> float:
        return self.per_minute / 60


class Rates(Settings):
    """One holder's rates for each class of request."""

    reading: Rate = Rate(burst=300, per_minute=1_200)
    writing: Rate = Rate(burst=120, per_minute=300)
    inference: Rate = Rate(burst=30, per_minute=60)
    signing_in: Rate = Rate(burst=30, per_minute=60)


class LimitSettings(Settings):
    """A request is charged to its user, its API key and its address; whichever is out first refuses it.

    An address may stand for a whole office, hence its higher rates.
    """

    user: Rates = Rates()
    key: Rates = Rates(
        reading=Rate(burst=600, per_minute=3_000),
        writing=Rate(burst=300, per_minute=1_200),
        inference=Rate(burst=60, per_minute=300),
    )
    address: Rates = Rates(
        reading=Rate(burst=3_000, per_minute=12_000),
        writing=Rate(burst=1_200, per_minute=3_000),
        inference=Rate(burst=300, per_minute=1_200),
    )
    refused: Rate = Field(
        Rate(burst=60, per_minute=60), description="tokens and keys that are not valid, of one address"
    )
    failed_sign_in: Rate = Field(
        Rate(burst=6, per_minute=2), description="wrong passwords for one account from one address"
    )

    def rate(self, holder: Holder, kind: RequestClass) -> Rate:
        rates: Rates = getattr(self, holder)
        rate: Rate = getattr(rates, kind)
        return rate
