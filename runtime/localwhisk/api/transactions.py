"""What every response carries: its request's id, the caller's own or a new one; and the API's CORS headers."""

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
API, WEB = "/api/v1", "/api/v1/web/"  # web actions have CORS headers of their own
CORS_HEADERS = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": CORS_HEADERS,
    "access-control-allow-methods": "GET, DELETE, POST, PUT, HEAD",
}


class Transactions:
    """ASGI middleware; handlers find the id as `request.state.transaction`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get(HEADER, "")
        transaction = given if given and not given.startswith("sid_") else secrets.token_hex(16)
        scope.setdefault("state", {})["transaction"] = transaction
        path = scope.get("path", "")
        api = path.startswith(API) and not path.startswith(WEB)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                # what the HTTP library of OpenWhisk rejects by itself has none
                added = CORS if api and not scope["state"].get("bare") else {}
                MutableHeaders(scope=message).update({HEADER: transaction} | added)
            await send(message)

        await self._app(scope, receive, send_named)
