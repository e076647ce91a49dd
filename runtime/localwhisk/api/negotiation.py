"""What comes out well is shown only to callers who accept its type; an error is shown to everyone, as Pekko does."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.errors import RejectionError
from localwhisk.media_types import accepted

Handler = Callable[[Request], Awaitable[Response]]


def negotiated(handler: Handler) -> Handler:
    """The handler, with 406 in place of an answer of a type that the caller does not accept."""

    async def answered(request: Request) -> Response:
        response = await handler(request)
        kind = response.headers.get("content-type")
        if response.status_code < 400 and kind and not accepted(request.headers.get("accept"), kind):
            raise RejectionError(406, f"Resource representation is only available with these types:\n{kind}")
        return response

    return answered
