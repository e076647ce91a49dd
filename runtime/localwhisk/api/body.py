"""Reading request bodies: their size, their type, and the object they hold."""

from typing import Any

from starlette.requests import Request

from localwhisk.entities import key_values
from localwhisk.errors import RejectionError, malformed, too_large
from localwhisk.json_text import parse
from localwhisk.settings import BODY_LIMIT, PAYLOAD_LIMIT

JSON_EXPECTED = "is not supported. Expected:\napplication/json"


async def read_definition(request: Request, first_field: str) -> dict[str, Any]:
    """The body of a PUT: an object."""
    value = await read_json(request)
    if not isinstance(value, dict):
        raise malformed(f"Object expected in field '{first_field}'")
    for field in ("parameters", "annotations"):
        key_values(value, field)
    return value


async def read_json(request: Request) -> Any:
    """The body where there must be one."""
    text = await read(request, BODY_LIMIT)
    if not text.strip():
        raise RejectionError(400, "Request entity expected but not supplied")
    _check_type(request)
    return parse(text)


async def read_payload(request: Request) -> dict[str, Any] | None:
    """The body of an invocation: an object of at most 1 MB by its declared length, or nothing."""
    text = await read(request, PAYLOAD_LIMIT)
    if not text.strip():
        return None
    _check_type(request)
    value = parse(text)
    if not isinstance(value, dict):
        raise malformed("JSON object expected")
    return value


async def read(request: Request, limit: int) -> bytes:
    """The body, refused by its declared length, or as soon as it is longer than anything may be."""
    length = int(request.headers.get("content-length", 0))
    if length > limit:
        raise too_large("Request", length, limit)
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > BODY_LIMIT:
            raise too_large("Request", len(text), BODY_LIMIT)
    return bytes(text)


def _check_type(request: Request) -> None:
    """A body is JSON and says so."""
    given = request.headers.get("content-type", "application/octet-stream")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise RejectionError(415, f"The request's Content-Type [{given}] {JSON_EXPECTED}")
