"""vLLM's own server, which speaks OpenAI's wire and Anthropic's: a real hosted provider."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "smollm2-135m"
OPTIONS = ["--dtype", "bfloat16", "--max-model-len", "1024", "--enforce-eager"]
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[str]:
    """The model in `folder` on a free port of the loopback; the server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
    where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", MODEL]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *where, *OPTIONS], env=os.environ | ENVIRONMENT, stdout=output, stderr=output
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2)
        except OSError:
            time.sleep(1)
        else:
            return
    raise AssertionError(f"vLLM did not come up:\n{log.read_text()[-3000:]}")
