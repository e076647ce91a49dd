"""/triggers: create, read, list, delete and fire."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.activations import SUCCESS, Record, new_id, now_ms
from localwhisk.activations import Response as Result
from localwhisk.api.body import read_definition, read_payload
from localwhisk.api.context import (
    answer,
    authorized,
    existing,
    flag,
    lookup,
    name_of,
    namespace_of,
    platform,
    transaction,
)
from localwhisk.api.listing import list_entities
from localwhisk.api.transactions import HEADER
from localwhisk.auth import basic
from localwhisk.entities import Document, base, key_values, replaced, short
from localwhisk.errors import CONFLICT, FEED_INVALID, RequestError
from localwhisk.names import is_path
from localwhisk.platform import Platform
from localwhisk.triggers import active_rules, fire

_firing: set[asyncio.Task[None]] = set()


async def put(request: Request) -> Response:
    authorized(request)
    name = name_of(request)
    content = await read_definition(request, "parameters")
    old = existing(request, "triggers", name)
    if old is not None and not flag(request, "overwrite"):
        raise RequestError(409, CONFLICT)
    before = old.document if old else None
    if before is None:
        _check_feed(content)
    document = base(name, content, before, replaced(content, before, "annotations"))
    document |= {"limits": {}, "parameters": replaced(content, before, "parameters")}
    if before is not None and "rules" in before:
        document["rules"] = before["rules"]
    platform(request).entities.put("triggers", name, document)
    return answer(document)


async def get(request: Request) -> Response:
    authorized(request)
    return answer(lookup(request, "triggers", name_of(request)).document)


async def delete(request: Request) -> Response:
    authorized(request)
    trigger = lookup(request, "triggers", name_of(request))
    platform(request).entities.delete(trigger.name)
    return answer(trigger.document)


async def list_all(request: Request) -> Response:
    authorized(request)
    return list_entities(request, "triggers", namespace_of(request), short, lambda entity: True)


async def activate(request: Request) -> Response:
    """Fire: each active rule's action is posted by REST; without an active rule there is no record."""
    authorized(request)
    here = platform(request)
    here.throttles.fires.check()
    name = name_of(request)
    payload = await read_payload(request)
    trigger = lookup(request, "triggers", name).document
    if not active_rules(trigger):
        return Response(status_code=204)
    record = Record(new_id(), name.path, name.name, trigger["version"], now_ms(), Result(SUCCESS, payload or {}))
    record.path = str(name)
    arguments = {entry["key"]: entry["value"] for entry in trigger["parameters"]}
    arguments |= {"__ow_headers": dict(request.headers)} | (payload or {})
    headers = {"Authorization": basic(here.key), HEADER: transaction(request)}
    task = asyncio.get_running_loop().create_task(_fire(here, headers, trigger, arguments, record))
    _firing.add(task)
    task.add_done_callback(_firing.discard)
    return answer({"activationId": record.id}, 202, {"x-openwhisk-activation-id": record.id})


def _check_feed(content: Document) -> None:
    """A feed is noted by name; whether it exists only its invocation tells."""
    for note in key_values(content, "annotations") or []:
        if note["key"] == "feed" and not (isinstance(note["value"], str) and is_path(note["value"])):
            raise RequestError(400, FEED_INVALID)


async def _fire(
    here: Platform, headers: dict[str, str], trigger: Document, arguments: Document, record: Record
) -> None:
    here.records.begin(record)
    record.logs = await fire(here.client, here.settings.address(), headers, trigger["rules"], arguments)
    here.records.finish(record)
