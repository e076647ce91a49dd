"""Web actions: from an HTTP request to an action's arguments, and from its result to an HTTP response."""

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from localwhisk.definitions import BASE64
from localwhisk.errors import RequestError
from localwhisk.json_text import decode, parse
from localwhisk.media_types import essence, is_binary, is_json

EXTENSIONS = (".http", ".json", ".html", ".svg", ".text")
RESERVED = {"__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body"}
# what only the server may say of its answer; Pekko drops them too
SERVERS_OWN = ("content-type", "content-length", "transfer-encoding", "connection", "date", "server")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
CONTENT_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+\s*(;.*)?", re.ASCII)
STATUS = re.compile(r"[+-]?[0-9]{1,9}")
CONTENT_TYPE_UNKNOWN = "Response did not specify a known content-type."
CONTENT_TYPE_ERROR = "Response type in header did not match generated content type."
PROPERTY_NOT_FOUND = "Response does not include requested property."
OPAQUE = "application/octet-stream"  # what a body is whose type is not named


@dataclass(frozen=True)
class WebRequest:
    """What a web action is told about its request."""

    method: str
    headers: dict[str, str]
    path: str
    query: str
    body: bytes
    user: str | None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", OPAQUE)

    @property
    def media_type(self) -> str:
        return essence(self.content_type)

    def arguments(self, raw: bool) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "__ow_method": self.method.lower(),
            "__ow_headers": self.headers,
            "__ow_path": self.path,
        }
        if self.user is not None:
            arguments["__ow_user"] = self.user
        if raw:
            return arguments | {"__ow_query": self.query, "__ow_body": self._opaque() if self.body else ""}
        return arguments | self.fields()

    def names(self) -> set[str]:
        """Parameters that the caller has named; an opaque body has no names."""
        body = self._body()
        return {*self._query(), *(body if isinstance(body, dict) else ())}

    def fields(self) -> dict[str, Any]:
        """Query and body; an opaque body comes as __ow_body."""
        body = self._body() if self.body else {}
        return self._query() | (body if isinstance(body, dict) else {"__ow_body": body})

    def _query(self) -> dict[str, Any]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def _body(self) -> Any:
        if is_json(self.media_type):
            return parse(self.body) if self.body else None
        if self.media_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(decode(self.body), keep_blank_values=True))
        return self._opaque()

    def _opaque(self) -> str:
        if is_binary(self.content_type) or self.media_type == "application/json":
            return base64.b64encode(self.body).decode()
        return decode(self.body)


@dataclass
class WebResponse:
    """What goes back; a header may come several times."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)


def split_extension(name: str) -> tuple[str, str]:
    """Name of the action and the extension that tells how to show its result."""
    for extension in EXTENSIONS:
        if name.endswith(extension):
            return name.removesuffix(extension), extension
    return name, ".http"


def show(result: Any, extension: str) -> WebResponse:
    if extension == ".http":
        return _http(result)
    if extension == ".json":
        if not isinstance(result, dict | list):
            raise _invalid_media("application/json")
        return WebResponse(body=_json(result), content_type="application/json")
    if extension == ".text":
        return _text(result)
    kind, media = ("html", "text/html") if extension == ".html" else ("svg", "image/svg+xml")
    value = result.get("body", result.get(kind)) if isinstance(result, dict) else result
    if not isinstance(value, str):
        raise _invalid_media(media)
    return WebResponse(
        body=value.encode(errors="replace"), content_type=f"{media}; charset=UTF-8" if kind == "html" else media
    )


def _text(result: Any) -> WebResponse:
    value = result
    if isinstance(result, dict):
        if "body" not in result and "text" not in result:
            raise RequestError(404, PROPERTY_NOT_FOUND)
        value = result.get("body", result.get("text"))
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return WebResponse(body=text.encode(errors="replace"), content_type="text/plain; charset=UTF-8")


def _http(result: Any) -> WebResponse:
    """Status, headers and body as the action chose them."""
    if not isinstance(result, dict):
        raise _invalid_media("message/http")
    headers = _headers(result.get("headers", {}))
    declared = next((value for key, value in headers if key.lower() == "content-type"), None)
    others = [(key, value) for key, value in headers if key.lower() not in SERVERS_OWN]
    status = _status(result["statusCode"]) if "statusCode" in result else None
    body = result.get("body")
    if body is None or body == "":
        return WebResponse(status or 204, headers=others)
    if declared is not None and not CONTENT_TYPE.fullmatch(declared):
        raise RequestError(400, CONTENT_TYPE_UNKNOWN)
    if isinstance(body, str):
        content, content_type = _string_body(body, declared or "text/html")
    else:
        content, content_type = _json(body), declared or "application/json"
        if not is_json(essence(content_type)):
            raise RequestError(400, CONTENT_TYPE_ERROR)
    return WebResponse(status or 200, content, content_type, others)


def _string_body(body: str, declared: str) -> tuple[bytes, str]:
    media = essence(declared)
    if is_binary(declared) or (is_json(media) and len(body) % 4 == 0 and BASE64.fullmatch(body)):
        try:
            return base64.b64decode(body, validate=True), declared
        except binascii.Error:
            raise RequestError(400, CONTENT_TYPE_ERROR) from None
    return body.encode(errors="replace"), declared if is_json(media) else f"{media}; charset=UTF-8"


def _headers(given: Any) -> list[tuple[str, str]]:
    if not isinstance(given, dict):
        raise _invalid_media("message/http")
    pairs = [(key, text) for key, value in given.items() for text in _header_values(value)]
    if not all(HEADER_NAME.fullmatch(key) and HEADER_VALUE.fullmatch(text) for key, text in pairs):
        raise _invalid_media("message/http")
    return pairs


def _header_values(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for inner in value for text in _header_values(inner)]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, str | int | float):
        return [str(value)]
    raise _invalid_media("message/http")


def _status(given: Any) -> int:
    """A whole number, or the text of one."""
    whole = isinstance(given, str) and STATUS.fullmatch(given)
    if not whole and (isinstance(given, bool) or not isinstance(given, int | float) or given != given // 1):
        raise _invalid_media("message/http")
    status = int(given)
    if not 200 <= status <= 599:  # what is below is no answer yet
        raise _invalid_media("message/http")
    return status


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _invalid_media(media: str) -> RequestError:
    return RequestError(400, f"Response is not valid '{media}'.")
