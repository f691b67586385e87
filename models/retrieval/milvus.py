"""The vector store on Milvus, a cluster or the embedded Lite, through one gRPC client."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import AsyncMilvusClient, MilvusException

from models.retrieval.filters import expression
from models.retrieval.milvus_schema import MAX_TAGS, all_ids, point, prepare
from models.retrieval.passages import Filters
from models.retrieval.store import ChunkVectors, Hit, Record, SparseVector, StoreUnavailable
from monitoring import tracing

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it also raises, with a traceback

T = TypeVar("T")
observed = partial(tracing.call_of, "milvus")
DOWN = (MilvusException, grpc.RpcError, grpc.aio.AioRpcError, OSError, TimeoutError)
RECONNECT = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 2_000}
"""Back within two seconds of the server: gRPC alone would wait up to two minutes after a long outage."""
LITE_CHUNKS = 20_000
"""What embedded Milvus Lite holds before searches get slow: p50 10 ms at 10,000 chunks, 100 at 100,000."""
BATCH = 256
"""Records in one write: about 1 MB, far below gRPC's limits."""


class MilvusStore:
    """Searches give up after `timeout_s`, writes after `write_timeout_s`."""

    name = "milvus"

    def __init__(
        self, uri: str, collection: str, *, timeout_s: float = 5.0, write_timeout_s: float = 60.0
    ) -> None:
        self.uri = uri
        self.collection = collection
        self.timeout_s = timeout_s
        self.write_timeout_s = write_timeout_s
        self._address = uri.rpartition("@")[2]  # without user and password: it stands in messages
        self._client: AsyncMilvusClient | None = None
        self._connecting = asyncio.Lock()

    async def ensure(self, dimensions: int) -> None:
        await self._within(
            asyncio.to_thread(prepare, self.uri, self.collection, dimensions, self.write_timeout_s),
            self.write_timeout_s,
        )

    @observed("upsert")
    async def upsert(self, records: Sequence[Record]) -> None:
        client = await self._connected()
        for start in range(0, len(records), BATCH):
            rows = [_row(record) for record in records[start : start + BATCH]]
            await self._within(client.upsert(self.collection, rows), self.write_timeout_s)

    @observed("delete")
    async def delete(self, chunk_ids: Sequence[str]) -> None:
        client = await self._connected()
        for start in range(0, len(chunk_ids), BATCH):
            ids = list(chunk_ids[start : start + BATCH])
            await self._within(client.delete(self.collection, ids=ids), self.write_timeout_s)

    @observed("flush")
    async def flush(self) -> None:
        client = await self._connected()
        await self._within(client.flush(self.collection), self.write_timeout_s)

    async def count(self) -> int:
        client = await self._connected()
        rows = await self._within(
            client.query(self.collection, filter="", output_fields=["count(*)"], consistency_level="Strong"),
            self.write_timeout_s,
        )
        return int(rows[0]["count(*)"])

    async def ids(self) -> set[str]:
        reading = asyncio.to_thread(all_ids, self.uri, self.collection, self.write_timeout_s)
        return await self._within(reading, 10 * self.write_timeout_s)

    async def search_dense(self, vector: NDArray[np.float32], *, filters: Filters, limit: int) -> list[Hit]:
        params = {"metric_type": "COSINE", "params": {"ef": max(64, 2 * limit)}}
        return await self._search("dense", vector.tolist(), params, filters, limit)

    async def search_sparse(self, vector: SparseVector, *, filters: Filters, limit: int) -> list[Hit]:
        if not vector:
            return []
        return await self._search("sparse", vector, {"metric_type": "IP"}, filters, limit)

    @observed("get")
    async def vectors(self, chunk_ids: Sequence[str]) -> dict[str, ChunkVectors]:
        client = await self._connected()
        found: dict[str, ChunkVectors] = {}
        for start in range(0, len(chunk_ids), BATCH):
            ids = list(chunk_ids[start : start + BATCH])
            getting = client.get(self.collection, ids=ids, output_fields=["dense", "sparse"], retry_times=1)
            for row in await self._within(getting, self.timeout_s):
                found[row["chunk_id"]] = ChunkVectors.of(row["dense"], row["sparse"])
        return found

    async def ping(self) -> None:
        client = await self._connected()
        await self._within(client.has_collection(self.collection, retry_times=1), self.timeout_s)

    async def capacity(self) -> int | None:
        client = await self._connected()
        version = await self._within(client.get_server_version(timeout=self.timeout_s), self.timeout_s)
        return LITE_CHUNKS if "lite" in str(version) else None

    async def publish(self, alias: str) -> None:
        await self._within(
            asyncio.to_thread(point, self.uri, self.collection, alias, self.write_timeout_s),
            self.write_timeout_s,
        )

    async def drop(self) -> None:
        client = await self._connected()
        await self._within(client.drop_collection(self.collection), self.write_timeout_s)

    async def close(self) -> None:
        if self._client:
            await self._client.close()
            self._client = None

    @observed("search")
    async def _search(
        self, field: str, vector: Any, params: dict[str, Any], filters: Filters, limit: int
    ) -> list[Hit]:
        client = await self._connected()
        (hits,) = await self._within(
            client.search(
                self.collection,
                data=[vector],
                anns_field=field,
                search_params=params,
                filter=expression(filters),
                limit=limit,
                output_fields=["article_id"],
                retry_times=1,
            ),
            self.timeout_s,
        )
        return [Hit(hit["chunk_id"], hit["entity"]["article_id"], float(hit["distance"])) for hit in hits]

    async def _connected(self) -> AsyncMilvusClient:
        """Connect at the first call, so that a store that is down stops no replica from starting."""
        async with self._connecting:
            if self._client is None:
                self._client = AsyncMilvusClient(uri=self.uri, timeout=self.timeout_s, grpc_options=RECONNECT)
            return self._client

    async def _within(self, call: Awaitable[T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await call
        except DOWN as error:
            why = " ".join(str(error).split()) or "no answer in time"
            raise StoreUnavailable(f"Milvus at {self._address}: {why}") from error


def _row(record: Record) -> dict[str, Any]:
    return {
        "chunk_id": record.chunk_id,
        "article_id": record.article_id,
        "language": record.language,
        "audiences": list(record.audiences)[:MAX_TAGS],
        "products": list(record.products)[:MAX_TAGS],
        "topics": list(record.topics)[:MAX_TAGS],
        "dense": record.dense.tolist(),
        "sparse": record.sparse,
    }
