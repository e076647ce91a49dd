"""Transaction ids: every response names the id of its request, the caller's own or a new one."""

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"


class Transactions:
    """ASGI middleware; handlers find the id as `request.state.transaction`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get(HEADER, "")
        transaction = given if given and not given.startswith("sid_") else secrets.token_hex(16)
        scope.setdefault("state", {})["transaction"] = transaction

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = transaction
            await send(message)

        await self._app(scope, receive, send_named)
