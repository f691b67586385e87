"""How events are sent to other people's servers."""

from typing import Self

from pydantic import Field, model_validator

from config.lineup import Settings


class WebhookSettings(Settings):
    allow_loopback: bool = Field(
        False, description="whether receivers may run on this machine, over plain HTTP; local profile only"
    )
    max_endpoints: int = Field(50, gt=0)
    max_pending: int = Field(
        10_000,
        gt=0,
        description="deliveries of one endpoint that wait; more are dead letters at once",
    )
    parallel: int = Field(4, gt=0, description="requests of one turn at a time")
    endpoints_at_once: int = Field(8, gt=0, description="endpoints that one worker sends to at a time")
    turn_s: float = Field(20.0, gt=0, description="how long one endpoint keeps its place before others")
    connect_s: float = Field(3.0, gt=0, description="for one address of the receiver, TLS included")
    timeout_s: float = Field(10.0, gt=0, description="for one attempt, from the look-up of the name on")
    claim_s: float = Field(
        30.0, gt=0, description="after which a delivery whose worker died is sent again; more than timeout_s"
    )
    response_bytes: int = Field(1024, gt=0, description="of a receiver's answer that are read and kept")
    rest_base_s: float = Field(5.0, gt=0, description="pause after a failure; doubled by each that follows")
    rest_max_s: float = Field(300.0, gt=0)
    switch_off_after_s: float = Field(
        5 * 86_400.0, gt=0, description="without one success, and at least `switch_off_failures` of them"
    )
    switch_off_failures: int = Field(10, gt=0)
    keep_s: float = Field(30 * 86_400.0, gt=0, description="how long ended deliveries can be looked at")

    @model_validator(mode="after")
    def _claims_outlive_attempts(self) -> Self:
        if self.claim_s <= self.timeout_s:
            raise ValueError("webhooks.claim_s must be more than webhooks.timeout_s")
        return self
