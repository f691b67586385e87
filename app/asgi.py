"""A layer around the application that is for HTTP requests only; lifespan and websockets pass it by."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HttpLayer:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what a layer does around `self.app`."""
        raise NotImplementedError
