"""/web: actions that anyone may call by HTTP, where they are exported."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from localwhisk.actions import Action, resolve
from localwhisk.activations import APPLICATION_ERROR, SUCCESS, Record
from localwhisk.api.body import read
from localwhisk.api.context import platform, transaction
from localwhisk.api.transactions import CORS_HEADERS
from localwhisk.auth import GUEST, SYSTEM, is_caller
from localwhisk.errors import (
    INTERNAL,
    NOT_AUTHENTICATED,
    PARAMETERS_NOT_ALLOWED,
    RejectionError,
    RequestError,
    not_found,
)
from localwhisk.names import Name
from localwhisk.sequence import NotAnObjectError, Pending
from localwhisk.settings import BLOCKING_WAIT_MS, PAYLOAD_LIMIT
from localwhisk.web import PROPERTY_NOT_FOUND, RESERVED, WebRequest, show, split_extension

WITHOUT_BODY = (204, 304)
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH",
}


async def invoke(request: Request) -> Response:
    name, extension = split_extension(request.path_params["name"])
    action = _exported(request, name)
    platform(request).throttles.check_invocation()
    body = await read(request, PAYLOAD_LIMIT)
    own_cors = action.annotation("web-custom-options") is True
    if request.method == "OPTIONS" and not own_cors:
        return Response(headers=_cors(request))
    try:
        response = await _answer(request, action, body, extension)
    except RequestError as error:
        if not own_cors and not isinstance(error, RejectionError):
            error.headers |= _cors(request)
        raise
    for key, value in ({} if own_cors else _cors(request)).items():
        response.headers.setdefault(key, value)
    return response


def _exported(request: Request, name: str) -> Action:
    namespace, package = request.path_params["namespace"], request.path_params["package"]
    if namespace not in (GUEST, SYSTEM):
        raise not_found()
    path = namespace if package == "default" else f"{namespace}/{package}"
    action = resolve(platform(request).entities, Name(path, name))
    if action.annotation("web-export") is not True:
        raise not_found()
    return action


async def _answer(request: Request, action: Action, body: bytes, extension: str) -> Response:
    """What the action made of the request, or a refusal; both name the activation once there is one."""
    if request.method != "OPTIONS":
        _authenticated(request, action)
    pending = _start(request, action, body)
    name = {"x-openwhisk-activation-id": pending.id}
    try:
        record = await asyncio.wait_for(asyncio.shield(pending.done), BLOCKING_WAIT_MS / 1000)
        response = _shown(record, extension)
    except TimeoutError:
        raise RequestError(202, "Response not yet ready.", name) from None
    except NotAnObjectError:
        raise RequestError(500, INTERNAL) from None
    except RequestError as error:
        error.headers |= name
        raise
    response.headers.update(name)
    return response


def _authenticated(request: Request, action: Action) -> None:
    """An action may ask for a secret of its own, or for the platform's key."""
    wanted = action.annotation("require-whisk-auth")
    if wanted is None or wanted is False:
        return
    if wanted is True:
        fine = _user(request) is not None
    else:
        fine = isinstance(wanted, str | int) and request.headers.get("x-require-whisk-auth") == str(wanted)
    if not fine:
        raise RequestError(401, NOT_AUTHENTICATED)


def _start(request: Request, action: Action, body: bytes) -> Pending:
    rest = request.path_params.get("rest")
    path = f"/{rest}" if rest is not None else ""
    web = WebRequest(request.method, dict(request.headers), path, request.url.query, body, _user(request))
    raw = action.annotation("raw-http") is True
    if not raw and web.names() & (RESERVED | action.final_parameters()):
        raise RequestError(400, PARAMETERS_NOT_ALLOWED)
    return platform(request).dispatcher.invoke(action, web.arguments(raw), transaction(request))


def _shown(record: Record, extension: str) -> Response:
    result: Any = record.response.result
    if record.response.code not in (SUCCESS, APPLICATION_ERROR):
        raise RequestError(400, "There was an error processing your request.")
    if not isinstance(result, dict):  # OpenWhisk takes it for an object, and its HTTP library answers for it
        return PlainTextResponse(INTERNAL, 500)
    if record.response.code == APPLICATION_ERROR:
        if "error" not in result:
            raise RequestError(404, PROPERTY_NOT_FOUND)
        result = result["error"]
    web = show(result, extension)
    response = Response(b"" if web.status in WITHOUT_BODY else web.body, web.status)
    if web.content_type is not None:
        response.headers["content-type"] = web.content_type
    for key, value in web.headers:
        response.headers.append(key, value)
    return response


def _user(request: Request) -> str | None:
    return GUEST if is_caller(request.headers.get("authorization"), platform(request).key) else None


def _cors(request: Request) -> dict[str, str]:
    asked = request.headers.get("access-control-request-headers")
    return CORS | {"access-control-allow-headers": asked or CORS_HEADERS}
