"""Every chat model by name, each with the chain of providers that answers for it."""

import asyncio
from collections.abc import Sequence

from models.llm.chain import ChainCall, Deadlines, Link
from models.llm.errors import UnknownModel
from models.llm.protocol import ChatRequest
from models.llm.routes import Route


class Catalogue:
    """Implements `ChatModels`.

    A route answers by its own chain; a model by its providers first, then all others in the profile's order.
    """

    def __init__(self, links: Sequence[Link], deadlines: Deadlines, routes: Sequence[Route] = ()) -> None:
        self._links = tuple(links)
        self._routes = {route.name: route for route in routes}
        self._deadlines = deadlines

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self._routes, *(link.model for link in self._links)]))

    @property
    def default(self) -> str:
        """What the assistant answers with: the first route, or the first model where there is no route."""
        return self.names()[0]

    def start(self, request: ChatRequest, *, may_restart: bool = False) -> ChainCall:
        """An answer to `request`; `UnknownModel` lists what there is."""
        chain = self._chain(request["model"])
        return ChainCall(chain, request, self._deadlines, may_restart=may_restart)

    def _chain(self, name: str) -> list[Link]:
        if name in self._routes:
            return self._routes[name].order()
        if name not in self.names():
            raise UnknownModel(f"no model {name!r}; there are: {', '.join(self.names())}")
        return sorted(self._links, key=lambda link: link.model != name)

    async def is_up(self) -> bool:
        return any(await asyncio.gather(*(link.provider.is_up() for link in self._links)))

    async def close(self) -> None:
        await asyncio.gather(*(link.provider.close() for link in self._links))
