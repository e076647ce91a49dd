"""/actions: create, read, list, delete and invoke."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localwhisk import access
from localwhisk.actions import Action, resolve
from localwhisk.activations import SUCCESS, WHISK_ERROR
from localwhisk.api.body import read_definition, read_payload
from localwhisk.api.context import answer, authorized, existing, flag, lookup, namespace_of, platform, transaction
from localwhisk.api.listing import list_entities
from localwhisk.auth import GUEST
from localwhisk.definitions import without_code
from localwhisk.entities import Document, public, short
from localwhisk.errors import (
    CONFLICT,
    INTERNAL,
    NOT_ON_BINDING,
    PARAMETERS_NOT_ALLOWED,
    RequestError,
    malformed_query,
)
from localwhisk.names import Name, check_segment, parse_reference
from localwhisk.sequence import NotAnObjectError, Pending
from localwhisk.settings import BLOCKING_WAIT_MS

STATUS_OF = {SUCCESS: 200, WHISK_ERROR: 500}  # anything else is 502


async def put(request: Request) -> Response:
    authorized(request)
    name = _name(request)
    here = platform(request)
    content = await read_definition(request, "exec")
    here.definitions.check(content)
    _check_package(request, name)
    old = existing(request, "actions", name)
    if old is not None and not flag(request, "overwrite"):
        raise RequestError(409, CONFLICT)
    document = here.definitions.action(name, content, old.document if old else None)
    here.entities.put("actions", name, document)
    return answer(public(document))


async def get(request: Request) -> Response:
    authorized(request)
    action = _action(request, _name(request, shared=True))
    document = public(action.document) | {"parameters": action.parameters}
    return answer(document if flag(request, "code", default=True) else without_code(document))


async def delete(request: Request) -> Response:
    authorized(request)
    name = _name(request)
    _check_package(request, name)
    entity = lookup(request, "actions", name)
    platform(request).entities.delete(name)
    return answer(public(entity.document))


async def list_all(request: Request) -> Response:
    authorized(request)
    return list_entities(request, "actions", namespace_of(request), _short, lambda entity: True)


async def list_package(request: Request) -> Response:
    """The actions of a package, or of the package behind a binding."""
    authorized(request)
    package = lookup(request, "packages", _package(request))
    binding = package.document["binding"]
    path = f"{binding['namespace']}/{binding['name']}" if binding else str(package.name)
    return list_entities(request, "actions", path, _short, lambda entity: True)


async def invoke(request: Request) -> Response:
    authorized(request)
    here = platform(request)
    here.throttles.check_invocation()
    name = _name(request, shared=True)
    blocking, result = flag(request, "blocking"), flag(request, "result")
    wait = _wait(request)
    payload = await read_payload(request)
    action = _action(request, name)
    components = [parse_reference(component, GUEST) for component in action.components or []]
    access.check(here.entities, components, GUEST)
    if action.final_parameters() & (payload or {}).keys():
        raise RequestError(400, PARAMETERS_NOT_ALLOWED)
    pending = here.dispatcher.invoke(action, payload, transaction(request))
    return await _answer(pending, wait if blocking else None, result)


async def _answer(pending: Pending, wait: float | None, only_result: bool) -> Response:
    """The record or the result once there is one; the id alone where nobody waits, or waited too long."""
    headers = {"x-openwhisk-activation-id": pending.id}
    if wait is None:
        return answer({"activationId": pending.id}, 202, headers)
    try:
        record = await asyncio.wait_for(asyncio.shield(pending.done), wait)
    except TimeoutError:
        return answer({"activationId": pending.id}, 202, headers)
    except NotAnObjectError:
        raise RequestError(500, INTERNAL) from None
    result = record.response.result
    shown: Any = result if only_result or isinstance(result, list) else record.document()
    return answer(shown, STATUS_OF.get(record.response.code, 502), headers)


def _wait(request: Request) -> float:
    """Seconds a blocking call waits; a caller may only ask for less."""
    given = request.query_params.get("timeout")
    if given is None:
        return BLOCKING_WAIT_MS / 1000
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= BLOCKING_WAIT_MS:
        text = f"Timeout must be number of milliseconds up to {BLOCKING_WAIT_MS}."
        raise malformed_query("timeout", text)
    return int(given) / 1000


def _action(request: Request, name: Name) -> Action:
    """The action with what it inherits."""
    if name.package is None:
        lookup(request, "actions", name)
    return resolve(platform(request).entities, name)


def _check_package(request: Request, name: Name) -> None:
    """What is in a package changes there, not through a binding."""
    if name.package is not None and lookup(request, "packages", name.package).document["binding"]:
        raise RequestError(400, NOT_ON_BINDING)


def _name(request: Request, shared: bool = False) -> Name:
    """The path's action; of the catalog only a package's."""
    name = check_segment(request.path_params["name"])
    if "package" not in request.path_params:
        return Name(namespace_of(request, name), name)
    package = check_segment(request.path_params["package"])
    return Name(f"{namespace_of(request, package, shared)}/{package}", name)


def _package(request: Request) -> Name:
    package = check_segment(request.path_params["package"])
    return Name(namespace_of(request, package, shared=True), package)


def _short(document: Document) -> Document:
    binary = document["exec"].get("binary", False)
    return short(document, "limits") | {"exec": {"binary": binary}}
