"""Serves one Milvus Lite folder over gRPC, so that many processes can use it.

What milvus-lite's own server lacks: it listens on loopback only, asks for a token, lets one call at a time
change something (3.2.2 loses acknowledged rows when writes to a collection overlap), ends cleanly on SIGTERM
and loads again what was loaded. Rows survive `kill -9`; they are not fsynced, for PostgreSQL has them too.
"""

import argparse
import hmac
import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from pymilvus.grpc_gen import milvus_pb2_grpc

from config.embedded.milvus import authorization
from config.embedded.milvus_filters import keep_masks
from config.embedded.milvus_search import search_fast

log = logging.getLogger(__name__)

Call = Callable[[Any, grpc.ServicerContext], Any]

READS = frozenset(
    """
    AllocTimestamp CheckHealth Connect DescribeAlias DescribeCollection DescribeDatabase DescribeIndex
    GetCollectionStatistics GetCompactionState GetFlushAllState GetFlushState GetIndexBuildProgress
    GetIndexState GetLoadState GetLoadingProgress GetPartitionStatistics GetPersistentSegmentInfo
    GetQuerySegmentInfo GetReplicas GetServerVersion GetVersion HasCollection HasPartition HybridSearch
    ListAliases ListDatabases Query Search ShowCollections ShowPartitions
    """.split()  # noqa: SIM905  # thirty quoted lines otherwise
)
"""Every other call changes something."""

LOADING = frozenset({"LoadCollection", "ReleaseCollection", "DropCollection", "RenameCollection"})
MESSAGE_BYTES = 256 << 20
"""What a Milvus cluster takes and gives."""

KEEPALIVE = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)
"""pymilvus pings every ten seconds; gRPC's default is to cut off whoever does."""


class Authorization(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Turns away whoever does not know the token: loopback is open to every user of the machine."""

    def __init__(self, token: str) -> None:
        self._expected = authorization(token)
        self._refuse = grpc.unary_unary_rpc_method_handler(_refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        sent = dict(details.invocation_metadata).get("authorization", "")
        known = hmac.compare_digest(str(sent), self._expected)
        return continuation(details) if known else self._refuse


class SerialWrites(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets one call at a time change something, and says when the set of loaded collections may differ."""

    def __init__(self, on_loading: Callable[[], None]) -> None:
        self._turn = threading.Lock()
        self._on_loading = on_loading

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        method = details.method.rpartition("/")[2]
        if handler is None or method in READS or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._in_turn(method, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _in_turn(self, method: str, change: Call) -> Call:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            with self._turn:
                response = change(request, context)
                if method in LOADING:
                    self._on_loading()
                return response

        return call


class Loaded:
    """Which collections were loaded, kept beside them."""

    def __init__(self, db: MilvusLite, path: Path) -> None:
        self._db = db
        self._path = path

    def save(self) -> None:
        names = [name for name in self._db.list_collections() if self._is_loaded(name)]
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps(names))
        draft.replace(self._path)

    def restore(self) -> None:
        """Load them again; one that cannot be read is left out, so that the others can be used."""
        if not self._path.exists():
            return
        existing = set(self._db.list_collections())
        for name in json.loads(self._path.read_text()):
            if name in existing:
                try:
                    self._db.get_collection(name).load()
                except Exception:
                    log.exception("collection %s cannot be loaded; index it again", name)

    def _is_loaded(self, name: str) -> bool:
        return bool(self._db.get_collection(name).load_state == "loaded")


def _refuse(_request: bytes, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong user or password")


def serve(folder: Path, port: int, token: str) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way (five seconds at most) and close."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    keep_masks()
    search_fast()
    db = MilvusLite(str(folder / "data"))
    loaded = Loaded(db, folder / "loaded.json")
    loaded.restore()
    server = grpc.server(
        ThreadPoolExecutor(10),
        interceptors=[Authorization(token), SerialWrites(loaded.save)],
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            *KEEPALIVE,
        ],
    )
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(db), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    log.info("serving %s on 127.0.0.1:%d", folder, port)
    ended.wait()
    server.stop(grace=5).wait()
    loaded.save()
    db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve(arguments.data_dir, arguments.port, os.environ["ESERVICE_MILVUS_TOKEN"])


if __name__ == "__main__":
    main()
