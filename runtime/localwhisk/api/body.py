"""Reading request bodies: JSON, with the sentences OpenWhisk's parser (spray-json) has for what is none."""

import json
import re
from json import JSONDecodeError
from typing import Any

from starlette.requests import Request

from localwhisk.entities import key_values
from localwhisk.errors import RequestError, malformed, too_large
from localwhisk.settings import BODY_LIMIT, PAYLOAD_LIMIT

EXPECTED = {
    "Expecting value": "JSON Value",
    "Expecting property name enclosed in double quotes": "'\"'",
    "Illegal trailing comma before end of object": "'\"'",
    "Illegal trailing comma before end of array": "JSON Value",
    "Expecting ':' delimiter": "':'",
    "Extra data": "end-of-input",
}


SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
JSON_EXPECTED = "is not supported. Expected:\napplication/json"


async def read_definition(request: Request, first_field: str) -> dict[str, Any]:
    """The body of a PUT: an object."""
    text = await read(request, BODY_LIMIT)
    if not text.strip():
        raise RequestError(400, "Request entity expected but not supplied")
    check_type(request)
    value = parse(text)
    if not isinstance(value, dict):
        raise malformed(f"Object expected in field '{first_field}'")
    for field in ("parameters", "annotations"):
        key_values(value, field)
    return value


async def read_payload(request: Request) -> dict[str, Any] | None:
    """The body of an invocation: an object of at most 1 MB by its declared length, or nothing."""
    text = await read(request, PAYLOAD_LIMIT)
    if not text.strip():
        return None
    check_type(request)
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


def check_type(request: Request) -> None:
    """A body is JSON and says so."""
    given = request.headers.get("content-type", "application/octet-stream")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(415, f"The request's Content-Type [{given}] {JSON_EXPECTED}")


def parse(text: bytes) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
        if SURROGATE.search(text):
            # half a surrogate pair is legal in JSON and has no UTF-8: a question mark takes its place, as in Java
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except JSONDecodeError as error:
        raise malformed(_explain(error)) from None
    except ValueError as error:
        raise malformed(str(error)) from None
    except RecursionError:
        raise malformed("JSON input nested too deeply") from None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"Unexpected constant {constant}, expected JSON Value")


def _explain(error: JSONDecodeError) -> str:
    """Where the text stops being JSON, with the line and a caret."""
    at_end = error.pos >= len(error.doc)
    found = "end-of-input" if at_end else f"character '{error.doc[error.pos]}'"
    place = f"at input index {error.pos} (line {error.lineno}, position {error.colno})"
    expected = EXPECTED.get(error.msg, "JSON Value")
    if error.msg == "Expecting ',' delimiter":
        expected = "'}'" if error.doc.rfind("{", 0, error.pos) > error.doc.rfind("[", 0, error.pos) else "']'"
    line = error.doc.split("\n")[error.lineno - 1]
    return f"Unexpected {found} {place}, expected {expected}:\n{line}\n{' ' * (error.colno - 1)}^\n"
