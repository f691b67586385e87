"""An OTLP/HTTP receiver: the real wire protocol, what came in memory."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

FAILED = 2
"""Status.STATUS_CODE_ERROR of the protocol."""


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it came over the wire."""

    trace: str
    id: str
    parent: str
    name: str
    service: str
    failed: bool
    attributes: dict[str, str]
    raw: str


class Receiver:
    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans: list[Received] = []

    def trace(self, trace_id: str) -> list[Received]:
        return [span for span in self.spans if span.trace == trace_id]

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Received(
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.name,
                            about["service.name"],
                            span.status.code == FAILED,
                            {each.key: _text(each.value) for each in span.attributes},
                            str(span),
                        )
                    )


def _text(value: object) -> str:
    return str(value).partition(": ")[2].strip().strip('"')


@contextmanager
def receiver() -> Iterator[Receiver]:
    """On a free port of the loopback, for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
