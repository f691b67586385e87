"""An embedding model in this process, run beside the event loop on a thread of its own."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from models.embedding.protocol import Encoder, Vectors


class LocalEmbedder:
    def __init__(self, model: Encoder) -> None:
        self.model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def dimensions(self) -> int:
        return self.model.dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.model.encode, texts)

    async def read(self, texts: Sequence[str]) -> tuple[Vectors, list[bytes]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.model.read, texts)

    async def embed_fading(self, texts: Sequence[str]) -> Vectors:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.model.encode_fading, texts)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
