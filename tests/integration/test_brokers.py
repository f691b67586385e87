"""The same events at brokers that are not Redis."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest
from aiokafka.errors import KafkaError

from app import db
from app.events import service
from app.events.relay import Relay
from app.events.sinks.kafka import Kafka
from app.events.sinks.rabbitmq import RabbitMq
from config.profile import EventSettings
from tests.integration import brokers

SETTINGS = EventSettings(poll_s=0.02, lease_s=30, timeout_s=20)


@pytest.mark.long
@pytest.mark.skipif(brokers.missing() is not None, reason=str(brokers.missing()))
async def test_rabbitmq_confirms_them_in_order_also_after_it_was_away(pool: db.Pool, tmp_path: Path) -> None:
    thing = uuid4()
    with brokers.rabbitmq(tmp_path) as url:
        sink = RabbitMq(url, "events", 10)
        relay = Relay(pool, sink, SETTINGS)
        await relay.once()
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
            queue = await channel.declare_queue("ours", durable=True)
            await queue.bind(exchange, "ticket.*")
            await _say(pool, thing, "ticket", "created", "status_changed")
            await _say(pool, uuid4(), "article", "published")
            await relay.once()
            assert sink._connection
            await sink._connection.close()  # the broker was restarted
            await _say(pool, thing, "ticket", "rated")
            with pytest.raises(Exception, match=r"(?i)clos"):
                await relay.once()
            await relay.once()
            messages = [await queue.get(timeout=5) for _ in range(3)]
            for message in messages:
                await message.ack()
            assert await queue.get(fail=False, timeout=1) is None
        await sink.close()
    assert [message.routing_key for message in messages] == [
        *("ticket.created", "ticket.status_changed", "ticket.rated")
    ]
    assert [message.headers["position"] for message in messages] == [1, 2, 4]
    body = json.loads(messages[0].body)
    assert (body["aggregate_id"], body["id"]) == (str(thing), messages[0].message_id)
    assert messages[0].delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_brokers_that_are_away_leave_events_in_the_log(pool: db.Pool) -> None:
    """No Kafka is to be had on the machines this is tested on: that it fails within its deadline is."""
    port = brokers.free_port()
    for sink in (
        RabbitMq(f"amqp://guest:guest@127.0.0.1:{port}/", "events", 2),
        Kafka(f"127.0.0.1:{port}", "e", 2),
    ):
        relay = Relay(pool, sink, SETTINGS)
        await relay.once()
        await _say(pool, uuid4(), "ticket", "created")
        with pytest.raises((OSError, KafkaError)):
            async with asyncio.timeout(10):
                await relay.once()
        await sink.close()
        async with db.transaction(pool) as conn:
            cursor = await conn.fetchval("SELECT position FROM event_cursors WHERE consumer = $1", sink.name)
            assert len(await service.after(conn, cursor, 10)) == 1


async def _say(pool: db.Pool, thing: object, aggregate: str, *kinds: str) -> None:
    async with db.transaction(pool) as conn:
        for kind in kinds:
            await service.publish(conn, aggregate, thing, kind, "system:test", {})  # type: ignore[arg-type]
