"""Every chat model by name, each with the chain of providers that answers for it."""

import asyncio
from collections.abc import Mapping, Sequence

from models.llm.breaker import Breaker
from models.llm.chain import ChainCall, Deadlines, Link
from models.llm.errors import UnknownModel
from models.llm.protocol import ChatRequest, ProviderStatus
from models.llm.routes import Route

NO_MODEL = "none"
"""What the default model is called where there is none: an answer from it ends in `NoProviderLeft`."""


class Catalogue:
    """Implements `ChatModels`.

    A route answers by its own chain; a model by its providers first, then all others in the profile's order.
    Answers under way keep the chain they began with, whatever replaces it meanwhile.
    """

    def __init__(self, links: Sequence[Link], deadlines: Deadlines, routes: Sequence[Route] = ()) -> None:
        self.version = 0
        self._deadlines = deadlines
        self._leaving: set[asyncio.Task[None]] = set()
        self._set(links, routes)

    def _set(self, links: Sequence[Link], routes: Sequence[Route]) -> None:
        self._links = tuple(links)
        self._routes = {route.name: route for route in routes}
        self._names = list(dict.fromkeys([*self._routes, *(link.model for link in links)]))

    def replace(self, links: Sequence[Link], routes: Sequence[Route], version: int) -> None:
        """From now on these; providers that are no longer named are closed when no answer can need them."""
        kept = {id(link.provider) for link in links}
        gone = [link for link in self._links if id(link.provider) not in kept]
        self._set(links, routes)
        self.version = version
        if gone:
            task = asyncio.create_task(self._dismiss(gone))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _dismiss(self, links: Sequence[Link]) -> None:
        try:
            await asyncio.sleep(self._deadlines.total)
            while any(link.slots.in_use for link in links):  # noqa: ASYNC110 - a reader may be slow
                await asyncio.sleep(1)
        finally:
            await _close(links)

    def names(self) -> list[str]:
        return self._names

    @property
    def default(self) -> str:
        """What the assistant answers with: the first route, or the first model where there is no route."""
        return self._names[0] if self._names else NO_MODEL

    def start(self, request: ChatRequest, *, may_restart: bool = False) -> ChainCall:
        """An answer to `request`; `UnknownModel` lists what there is."""
        chain = self._chain(request["model"])
        return ChainCall(chain, request, self._deadlines, may_restart=may_restart)

    def _chain(self, name: str) -> list[Link]:
        if name in self._routes:
            return self._routes[name].order()
        if name not in self._names and name != NO_MODEL:
            raise UnknownModel(f"no model {name!r}; there are: {', '.join(self._names)}")
        return sorted(self._links, key=lambda link: link.model != name)

    def prices(self, model: str) -> tuple[float, float]:
        """The dearest of the chain of `model`, in USD per million tokens of prompt and of completion."""
        chain = self._chain(model)
        return (
            max((link.prompt_price for link in chain), default=0.0),
            max((link.completion_price for link in chain), default=0.0),
        )

    def breakers(self) -> Mapping[str, Breaker]:
        """By the provider's name."""
        return {link.provider.name: link.breaker for link in self._links}

    async def is_up(self) -> bool:
        return any(await asyncio.gather(*(link.provider.is_up() for link in self._links)))

    async def statuses(self) -> dict[str, ProviderStatus]:
        ups = await asyncio.gather(*(link.provider.is_up() for link in self._links))
        return {link.provider.name: link.status(up) for link, up in zip(self._links, ups, strict=True)}

    async def close(self) -> None:
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await _close(self._links)


async def _close(links: Sequence[Link]) -> None:
    await asyncio.gather(*(link.provider.close() for link in links))
