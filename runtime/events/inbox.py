"""Where the S3 server's webhook arrives; used by __main__."""

import base64
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from events.bucket import KEY

LONGEST = 1 << 20  # bytes; an event has about one thousand


def build(bucket: str, credentials: str, ring: Callable[[], None]) -> ASGIApp:
    """Make the application: it rings for every event of an upload that starts a run."""

    async def receive(request: Request) -> Response:
        if int(request.headers.get("content-length", LONGEST + 1)) > LONGEST:
            return PlainTextResponse("expected an S3 event", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            event = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("expected an S3 event, in JSON", HTTPStatus.BAD_REQUEST)
        if concerns(event, bucket):
            ring()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return Guard(Starlette(routes=[Route("/", receive, methods=["POST"])]), credentials)


class Guard:
    """Answers 401 to whoever does not know the password, whatever they ask."""

    def __init__(self, app: ASGIApp, credentials: str) -> None:
        self._app = app
        self._expected = b"Basic " + base64.b64encode(credentials.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"") if scope["type"] == "http" else b""
        if hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("unauthorized", HTTPStatus.UNAUTHORIZED)(scope, receive, send)


def concerns(event: Any, bucket: str) -> bool:
    """Tell whether an event says that a datasets/<name>/train.json was created in the bucket."""
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and any(created(record, bucket) for record in records)


def created(record: Any, bucket: str) -> bool:
    """Tell the same of one record; servers differ in whether they encode the key."""
    try:
        name, place, key = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        fits = KEY.fullmatch(key) or KEY.fullmatch(unquote_plus(key))
        return bool(fits) and place == bucket and name.removeprefix("s3:").startswith("ObjectCreated:")
    except (AttributeError, KeyError, TypeError):
        return False
