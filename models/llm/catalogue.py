"""Every chat model by name, each with the chain of providers that answers for it."""

import asyncio
from collections.abc import Mapping, Sequence

from models.llm.chain import ChainCall, Deadlines, Link
from models.llm.errors import UnknownModel
from models.llm.protocol import ChatRequest


class Catalogue:
    """Implements `ChatModels`: the model asked for answers first, then the others, in the profile's order."""

    def __init__(self, links: Sequence[Link], deadlines: Deadlines) -> None:
        self._links: Mapping[str, Link] = {link.model: link for link in links}
        self._chain = tuple(links)
        self._deadlines = deadlines

    def names(self) -> list[str]:
        return list(self._links)

    @property
    def default(self) -> str:
        """The model that the assistant answers with first."""
        return self._chain[0].model

    def start(self, request: ChatRequest, *, may_restart: bool = False) -> ChainCall:
        """An answer to `request`; `UnknownModel` lists what there is."""
        first = self._links.get(request["model"])
        if first is None:
            raise UnknownModel(f"no model {request['model']!r}; there are: {', '.join(self.names())}")
        chain = [first, *(link for link in self._chain if link is not first)]
        return ChainCall(chain, request, self._deadlines, may_restart=may_restart)

    async def is_up(self) -> bool:
        return any(await asyncio.gather(*(link.provider.is_up() for link in self._chain)))
