"""/activations: list and read records."""

import re

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.activations import summary
from localwhisk.api.context import answer, authorized, flag, namespace_of, page, platform
from localwhisk.entities import Document
from localwhisk.errors import RejectionError, RequestError, malformed_query, not_found
from localwhisk.names import SEGMENT
from localwhisk.store import ActivationQuery

ID_LENGTH = 32


async def list_all(request: Request) -> Response:
    authorized(request)
    namespace = namespace_of(request)
    skip, limit = page(request, "activations")
    query = ActivationQuery(_name(request), _time(request, "since"), _time(request, "upto"))
    records = platform(request).records
    if flag(request, "count"):
        if flag(request, "docs"):
            raise RequestError(400, "The parameter 'docs' is not permitted with 'count'.")
        return answer({"activations": records.count(namespace, query, skip)})
    documents = records.list(namespace, query, skip, limit)
    return answer(documents if flag(request, "docs") else [summary(document) for document in documents])


async def get(request: Request) -> Response:
    return answer(_record(request))


async def get_logs(request: Request) -> Response:
    return answer({"logs": _record(request)["logs"]})


async def get_result(request: Request) -> Response:
    return answer(_record(request)["response"])


def _record(request: Request) -> Document:
    authorized(request)
    namespace = namespace_of(request)
    given = request.path_params["id"]
    if len(given) != ID_LENGTH:
        raise RejectionError(400, f"Activation id length is {len(given)} but must be {ID_LENGTH}.")
    if not re.fullmatch(r"[0-9a-fA-F]+", given):
        raise RejectionError(400, "The activation id is not valid.")
    document = platform(request).records.get(namespace, given)
    if document is None:
        raise not_found()
    return document


def _name(request: Request) -> str | None:
    given = request.query_params.get("name", "")
    if not given.strip():
        return None
    parts = [part for part in given.split("/") if part]
    if not 1 <= len(parts) <= 2 or not all(SEGMENT.match(part) for part in parts):
        text = f"Parameter may be a 'simple' name or 'package-name/simple' name: {given}"
        raise malformed_query("name", text)
    return "/".join(parts)


def _time(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"\d{1,18}", given, re.ASCII):
        text = f"Parameter is not a valid value for epoch seconds: {given}"
        raise malformed_query(name, text)
    return int(given)
