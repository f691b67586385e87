"""redis-py's client, each command within a span. Keys and values are left out: they may name somebody."""

from typing import Any

from opentelemetry.trace import SpanKind
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from monitoring import tracing

SYSTEM = {"db.system.name": "redis"}


class ObservedRedis(Redis):
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        command = str(args[0]).partition(" ")[0].upper()
        attributes = {**SYSTEM, "db.operation.name": command}
        with tracing.span(f"redis {command}", attributes, kind=SpanKind.CLIENT):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _ObservedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _ObservedPipeline(Pipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with tracing.span(
            "redis PIPELINE", {**SYSTEM, "db.operation.name": "PIPELINE"}, kind=SpanKind.CLIENT
        ):
            return await super().execute(raise_on_error)
