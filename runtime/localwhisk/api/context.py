"""What handlers ask of a request: its platform, its transaction, whom it speaks for, its query."""

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.auth import GUEST, SYSTEM, authenticate
from localwhisk.errors import (
    ILLEGAL_NAMESPACE,
    WRONG_COLLECTION,
    RejectionError,
    RequestError,
    malformed_query,
    not_authorized,
    not_found,
)
from localwhisk.names import LONGEST, SEGMENT, Name, check_segment
from localwhisk.platform import Platform
from localwhisk.settings import LIST_DEFAULT, LIST_MAX
from localwhisk.store import Entity

INTEGER = re.compile(r"[+-]?[0-9]{1,10}")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def platform(request: Request) -> Platform:
    running: Platform = request.app.state.platform
    return running


def transaction(request: Request) -> str:
    """The caller's transaction id, or a new one; also an error's `code`."""
    return str(request.state.transaction)


def answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    # half a surrogate pair is legal in JSON and has no UTF-8: a question mark takes its place, as in Java
    return Response(text.encode(errors="replace"), status, headers, "application/json")


def authorized(request: Request) -> None:
    authenticate(request.headers.get("authorization"), platform(request).key)


def namespace_of(request: Request, entity: str = "", shared: bool = False) -> str:
    """The namespace of the path, for a caller who may use it; the catalog's only where `shared`."""
    given = request.path_params["namespace"]
    if not SEGMENT.match(given):
        long = f"Namespace longer than allowed: {len(given)} > {LONGEST}."
        raise RejectionError(400, long if len(given) > LONGEST else ILLEGAL_NAMESPACE)
    namespace = GUEST if given == "_" else given
    if namespace != GUEST and not (shared and namespace == SYSTEM):
        raise not_authorized(f"{namespace}/{entity}" if entity else namespace)
    return str(namespace)


def name_of(request: Request) -> Name:
    """The entity of the path, in the caller's namespace."""
    name = check_segment(request.path_params["name"])
    return Name(namespace_of(request, name), name)


def lookup(request: Request, collection: str, name: Name) -> Entity:
    """The entity of this name and collection, refused when there is none."""
    entity = existing(request, collection, name)
    if entity is None:
        raise not_found()
    return entity


def existing(request: Request, collection: str, name: Name) -> Entity | None:
    """The entity if there is one; a namesake of another collection is a conflict."""
    entity = platform(request).entities.get(name)
    if entity is not None and entity.collection != collection:
        raise RequestError(409, WRONG_COLLECTION)
    return entity


def flag(request: Request, name: str, default: bool = False) -> bool:
    given = request.query_params.get(name)
    if given is None:
        return default
    if given.lower() not in TRUE + FALSE:
        text = f"'{given}' is not a valid Boolean value"
        raise malformed_query(name, text)
    return given.lower() in TRUE


def page(request: Request, collection: str) -> tuple[int, int]:
    """How many entries to skip and to show; a limit of 0 means the most there can be."""
    limit = _number(request, "limit", collection, LIST_DEFAULT)
    if not 0 <= limit <= LIST_MAX:
        text = f"The value '{limit}' is not in the range of 0 to {LIST_MAX} for {collection}."
        raise malformed_query("limit", text)
    skip = _number(request, "skip", collection, 0)
    if skip < 0:
        text = f"The value '{skip}' is not greater than or equal to 0 for {collection}."
        raise malformed_query("skip", text)
    return skip, limit or LIST_MAX


def _number(request: Request, name: str, collection: str, default: int) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not INTEGER.fullmatch(given) or abs(int(given)) >= 1 << 31:
        text = f"The value '{given}' is not an integer for {collection}."
        raise malformed_query(name, text)
    return int(given)
