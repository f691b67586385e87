"""Milvus Lite behind its gRPC server (`milvus_server`), the one process that may open its files."""

import base64
import signal
import sys
from pathlib import Path

import grpc

from config.embedded.child import Launch

USER = "eservice"
CHECKOUT = Path(__file__).parents[2]


class Milvus:
    name = "milvus"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self._token = f"{USER}:{password}"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def launch(self, port: int) -> Launch:
        module = "config.embedded.milvus_server"
        return Launch(
            (sys.executable, "-m", module, "--data-dir", str(self.folder), "--port", str(port)),
            cwd=CHECKOUT,
            environ={"ESERVICE_MILVUS_TOKEN": self._token, "OMP_NUM_THREADS": "1"},
        )

    def answers(self, port: int) -> bool:
        """Asks for its version with bare gRPC: importing pymilvus would cost most of a second."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            version = channel.unary_unary("/milvus.proto.milvus.MilvusService/GetVersion")
            try:
                version(b"", timeout=2, metadata=[("authorization", authorization(self._token))])
            except grpc.RpcError:
                return False
        return True

    def settle(self, port: int) -> None:
        pass

    def address(self, port: int) -> str:
        return f"http://{self._token}@127.0.0.1:{port}"


def authorization(token: str) -> str:
    """The header pymilvus sends for `token`, or for the user and password in its address."""
    return base64.b64encode(token.encode()).decode()
