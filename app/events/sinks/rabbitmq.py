"""Events as persistent messages of one topic exchange, confirmed by the broker, keyed `aggregate.kind`."""

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange

from app.events.relay import Batch
from app.events.schemas import DomainEvent


class RabbitMq:
    """Connects when it first has something to say, and again after a failure."""

    name = "rabbitmq"

    def __init__(self, url: str, exchange: str, timeout_s: float) -> None:
        self._url = url
        self._name = exchange
        self._timeout = timeout_s
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def deliver(self, batch: Batch) -> None:
        if not batch.events:
            return
        try:
            exchange = await self._open()
            for event in batch.events:  # one after the other keeps their order
                await exchange.publish(
                    message(event), f"{event.aggregate}.{event.kind}", mandatory=False, timeout=self._timeout
                )
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> AbstractExchange:
        if self._exchange is None:
            self._connection = await aio_pika.connect(self._url, timeout=self._timeout)
            channel: AbstractChannel = await self._connection.channel(publisher_confirms=True)
            self._exchange = await channel.declare_exchange(
                self._name, aio_pika.ExchangeType.TOPIC, durable=True, timeout=self._timeout
            )
        return self._exchange

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await connection.close()


def message(event: DomainEvent) -> aio_pika.Message:
    return aio_pika.Message(
        event.model_dump_json().encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(event.id),
        timestamp=event.occurred_at,
        type=f"{event.aggregate}.{event.kind}",
        headers={"position": event.position},
    )
