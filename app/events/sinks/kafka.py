"""Events as records of one Kafka topic; an aggregate's share a key, and so a partition and their order."""

import asyncio

from aiokafka import AIOKafkaProducer

from app.events.relay import Batch


class Kafka:
    """An idempotent producer that waits for all in-sync replicas."""

    name = "kafka"

    def __init__(self, servers: str, topic: str, timeout_s: float) -> None:
        self._servers = servers
        self._topic = topic
        self._timeout_ms = int(timeout_s * 1000)
        self._producer: AIOKafkaProducer | None = None

    async def deliver(self, batch: Batch) -> None:
        if not batch.events:
            return
        try:
            producer = await self._open()
            sent = [
                await producer.send(
                    self._topic,
                    event.model_dump_json().encode(),
                    key=str(event.aggregate_id).encode(),
                    headers=[("id", str(event.id).encode()), ("kind", event.kind.encode())],
                )
                for event in batch.events
            ]
            await asyncio.gather(*sent)
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                enable_idempotence=True,
                acks="all",
                request_timeout_ms=self._timeout_ms,
            )
            self._producer = producer
            await producer.start()
        return self._producer

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
